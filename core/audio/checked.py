"""What a look at a container gives, and the sentence for one that ends too early."""

from dataclasses import dataclass

from core.errors import Refusal


@dataclass(frozen=True)
class Checked:
    """A container that looks whole. `data` differs from the file where its header had to be put right."""

    format: str
    data: bytes
    warnings: tuple[str, ...] = ()


def cut_off(name: str, found_s: float, promised_s: float) -> Refusal:
    """The refusal of a file that ends before its header says (both in seconds)."""
    digits = 1
    while digits < 6 and f"{found_s:.{digits}f}" == f"{promised_s:.{digits}f}":
        digits += 1
    return Refusal(
        f"{name} ends after {found_s:.{digits}f} s but its header promises {promised_s:.{digits}f} s: "
        f"it was cut off or damaged while copying; export it again."
    )
