"""Class names. Data sets spell the same emotion differently; classes are matched by name, never by position."""

_SPELLINGS = {
    "anger": ("ang", "angry"),
    "happiness": ("hap", "happy", "joy"),
    "neutral": ("neu", "neutrality"),
    "sadness": ("sad",),
    "excitement": ("exc", "excited"),
    "fear": ("fea", "fearful"),
    "disgust": ("dis", "disgusted"),
    "surprise": ("sur", "surprised"),
    "frustration": ("fru", "frustrated"),
    "calm": ("calmness",),
}
_CANONICAL = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in (name, *spellings)}


def canonical(label: str) -> str:
    """The name a class goes by here: `"Angry"` → `"anger"`; an unknown label only loses case and blanks."""
    plain = label.strip().lower()
    return _CANONICAL.get(plain, plain)


def class_index(label: str | None, labels: tuple[str, ...]) -> int | None:
    """Index of `label` among a model's class names, or None where there is no label or no such class."""
    if label is None:
        return None
    wanted = canonical(label)
    return next((i for i, name in enumerate(labels) if canonical(name) == wanted), None)
