"""Words that answers are made of."""

from collections.abc import Sequence

from core.figures.layout import number

_MINUS = "−"


def signed(value: float) -> str:
    """`+0.210` or `−0.210`."""
    return f"{_MINUS if value < 0 else '+'}{number(abs(value))}"


def across(n: int, speakers: int) -> str:
    """`, 100 clips of 10 speakers`."""
    clips = f"{n:,} clip{'' if n == 1 else 's'}".replace(",", "\u2009")
    return f", {clips}" + (f" of {speakers} speaker{'' if speakers == 1 else 's'}" if speakers else "")


def capital(text: str) -> str:
    """The text with its first letter large; the others stay, as in MLP."""
    return text[:1].upper() + text[1:]


def spans(what: str, numbers: Sequence[int]) -> str:
    """`layer 3`, or `layers 0 to 2, 5 and 7`."""
    runs: list[list[int]] = []
    for number_ in sorted(numbers):
        if runs and runs[-1][-1] == number_ - 1:
            runs[-1].append(number_)
        else:
            runs.append([number_])
    words = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    return f"{what}{'s' if len(numbers) > 1 else ''} {listed(words)}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
