"""Corpora whose file names say everything: RAVDESS and CREMA-D."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePath

_RAVDESS_NAME = re.compile(  # modality, channel, emotion, intensity, statement, repetition, actor
    r"0[1-3]-0[12]-(?P<emotion>0[1-8])-0[12]-(?P<statement>0[12])-0[12]-(?P<actor>[01]\d|2[0-4])"
)
_RAVDESS_EMOTIONS = ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
_RAVDESS_STATEMENTS = ("Kids are talking by the door.", "Dogs are sitting by the door.")

_CREMA_NAME = re.compile(  # the last part is the intensity; one file of the release has a single X
    r"(?P<actor>1\d{3})_(?P<sentence>[A-Z]{3})_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(?:LO|MD|HI|XX?)"
)
_CREMA_EMOTIONS = {
    **{"ANG": "anger", "DIS": "disgust", "FEA": "fear"},
    **{"HAP": "happiness", "NEU": "neutral", "SAD": "sadness"},
}
_CREMA_SENTENCES = {
    "DFA": "Don't forget a jacket.",
    "IEO": "It's eleven o'clock.",
    "IOM": "I'm on my way to the meeting.",
    "ITH": "I think I have a doctor's appointment.",
    "ITS": "I think I've seen this before.",
    "IWL": "I would like a new alarm clock.",
    "IWW": "I wonder what this is about.",
    "MTI": "Maybe tomorrow it will be cold.",
    "TAI": "The airplane is almost full.",
    "TIE": "That is exactly what happened.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}


@dataclass(frozen=True)
class Naming:
    """A corpus's way to name files: `read` takes a name without its suffix, None where the name is not of that way."""

    corpus: str
    read: Callable[[str], dict[str, str] | None]


def _ravdess(stem: str) -> dict[str, str] | None:
    match = _RAVDESS_NAME.fullmatch(stem)
    if match is None or match["actor"] == "00":
        return None
    return {
        "label": _RAVDESS_EMOTIONS[int(match["emotion"]) - 1],
        "speaker": f"Actor_{match['actor']}",
        "transcript": _RAVDESS_STATEMENTS[int(match["statement"]) - 1],
    }


def _crema(stem: str) -> dict[str, str] | None:
    match = _CREMA_NAME.fullmatch(stem)
    if match is None or match["sentence"] not in _CREMA_SENTENCES:
        return None
    return {
        "label": _CREMA_EMOTIONS[match["emotion"]],
        "speaker": match["actor"],
        "transcript": _CREMA_SENTENCES[match["sentence"]],
    }


NAMINGS = (Naming("RAVDESS", _ravdess), Naming("CREMA-D", _crema))


def recognise(names: Iterable[str]) -> Naming | None:
    """The corpus all these file names belong to; None where one of them does not fit, or there are none."""
    stems = [PurePath(name).stem for name in names]
    return next((naming for naming in NAMINGS if stems and all(map(naming.read, stems))), None)
