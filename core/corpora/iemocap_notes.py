"""How many clips IEMOCAP has in four classes, and whether what was found has as many."""

from collections import Counter
from collections.abc import Mapping, Sequence

from core.corpora.source import Listed

# Label files of the full release, counted by utterance code and by true speaker; both sum to 5531.
KNOWN_CODES = {"neu": 1708, "hap": 595, "exc": 1041, "ang": 1103, "sad": 1084}
KNOWN_SPEAKERS = {
    **{"Ses01F": 528, "Ses01M": 557, "Ses02F": 481, "Ses02M": 542, "Ses03F": 522, "Ses03M": 629},
    **{"Ses04F": 528, "Ses04M": 503, "Ses05F": 590, "Ses05M": 651},
}
_TOTAL = sum(KNOWN_CODES.values())
_NAMES = 5  # that a note gives


def count_note(clips: Sequence[Listed], codes: Mapping[str, int], missing: Sequence[str]) -> str:
    """One sentence: clips by class and session, and how that compares with the known counts.

    `codes` counts utterance codes as the label files give them, `missing` names the sessions that are not there.
    """
    speakers = Counter(clip.speaker for clip in clips)
    sessions = Counter(clip.session for clip in clips)
    happiness = codes.get("hap", 0) + codes.get("exc", 0)
    scripted = sum("script" in (clip.dialog or "") for clip in clips)
    found = (
        f"{len(clips)} clips by {len(speakers)} speakers: neutral {codes.get('neu', 0)}, "
        f"happiness {happiness} ({codes.get('hap', 0)} happy + {codes.get('exc', 0)} excited), "
        f"anger {codes.get('ang', 0)}, sadness {codes.get('sad', 0)}; "
        f"sessions {', '.join(f'{name} {count}' for name, count in sorted(sessions.items()))}; "
        f"{len(clips) - scripted} improvised, {scripted} scripted"
    )
    return f"{found}; {_verdict(codes, speakers, len(clips), missing)}."


def _verdict(codes: Mapping[str, int], speakers: Mapping[str | None, int], total: int, missing: Sequence[str]) -> str:
    if missing:
        return f"this is a part of IEMOCAP, which has {_TOTAL}: {', '.join(missing)} missing"
    if total < _TOTAL / 2:
        return f"this is a part of IEMOCAP, which has {_TOTAL}, though all 5 sessions are there"
    counts = [(name, speakers.get(name, 0), known) for name, known in KNOWN_SPEAKERS.items()]
    counts = [(name, codes.get(name, 0), known) for name, known in KNOWN_CODES.items()] + counts
    wrong = [f"{name} {count} instead of {known}" for name, count, known in counts if count != known]
    if not wrong:
        return "these are the known counts"
    return f"all 5 sessions are there, yet the counts are not the known ones ({total} of {_TOTAL}): {', '.join(wrong)}"


def first_names(names: Sequence[str]) -> str:
    """The first names in order, with dots where there are more."""
    return ", ".join(sorted(names)[:_NAMES]) + (", …" if len(names) > _NAMES else "")
