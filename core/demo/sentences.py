"""What the synthetic speakers say: fixed sentences without emotional content, and random ones for the recogniser."""

import numpy as np

# Acted in every emotion by every speaker, so that the words never tell the emotion.
SENTENCES = (
    "The kettle is on the kitchen table.",
    "My brother is coming home on Friday.",
    "They moved the piano into the hall.",
    "I left the letter on your desk.",
    "The train will stop at the river.",
    "She said the window was open.",
    "We talked about it all morning.",
    "There is a letter for you downstairs.",
    "He took the children to the station.",
    "The meeting begins in ten minutes.",
    "You never told me about the money.",
    "The garden gate is painted green.",
    "I will see the doctor tomorrow.",
    "Nobody was waiting in the office.",
    "The music stopped before dinner.",
    "It has been raining since Sunday.",
    "Your sister called me yesterday.",
    "They are building a bridge over there.",
    "I found the ticket in my pocket.",
    "The lights went out in the village.",
)


def _listed(text: str, separator: str = "|") -> list[str]:
    """A long list that is easier to read as one text."""
    return text.split(separator)


_SUBJECTS = _listed(
    "the teacher|my uncle|a young farmer|the old captain|her neighbour|the judge|our cousin|every student|the baker|"
    "a tired nurse|the boy|three sailors|the queen|some people|your father|that girl|the engineer|both guests|"
    "the painter|a stranger|the thief|his daughter|the mayor|four dogs|the choir"
)
_VERBS = _listed(
    "bought|carried|found|watched|followed|painted|cleaned|opened|wanted|sold|forgot|described|measured|borrowed|"
    "noticed|threw away|pushed|fixed|joined|hated|showed me|drew|asked about|looked for|chose|shook|wore|used"
)
_OBJECTS = _listed(
    "the yellow boat|a heavy suitcase|five oranges|the church clock|an empty bottle|the shop|a cheap ring|the photo|"
    "fresh bread|the wrong key|a zebra|the journal|warm soup|the young horse|her voice|a sharp knife|the castle|"
    "both chairs|the theatre|some sugar|the measure|a large fish|the church|good paper|the joke|a rough stone|"
    "the thick rope|nothing|the azure vase|a toy|pure wool|the mouth of the cave"
)
_ENDINGS = _listed(
    "||today|last night|in the rain|with care|at noon|near the beach|for us|under the oak|this year|again|"
    "by the fire|without a sound|on Thursday|from above|out there|behind the house"
)

FUNCTION_WORDS = frozenset(
    _listed(
        "the a an is on my in into at to for of was it all there he she we they you your about me will see has been "
        "since before over are never i her his our this that some with by from out under near both every",
        " ",
    )
)


def random_sentence(rng: np.random.Generator) -> str:
    """A grammatical sentence with no particular sense, 4 to 10 words."""
    parts = (rng.choice(_SUBJECTS), rng.choice(_VERBS), rng.choice(_OBJECTS), rng.choice(_ENDINGS))
    return " ".join(part for part in parts if part).capitalize() + "."
