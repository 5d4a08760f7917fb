"""The paper's own results, to stand beside ours: of its Table 1 (arXiv 2509.08454) the rows that are held here."""

from dataclasses import dataclass
from itertools import product

SOURCE = "arXiv 2509.08454, Table 1, as quoted in its summary at sciencestack.ai/paper/2509.08454"
BASES = ("tiny", "base", "small", "medium", "large-v2", "large-v3")
METHODS = ("Frozen", "LoRA")


@dataclass(frozen=True)
class PaperRow:
    """Mean and standard deviation over the paper's ten folds of IEMOCAP, for one base (a name in `BASES`)."""

    base: str
    method: str
    uar: float
    uar_sd: float
    war: float
    war_sd: float


# Whoever has the paper at hand adds its other rows here, and nowhere else.
TABLE_1 = (PaperRow("large-v2", "LoRA", 0.774, 0.026, 0.768, 0.035),)


def left_out() -> str:
    """Which rows of the table are not held here, in one sentence; empty where none is missing."""
    held = {(row.base, row.method) for row in TABLE_1}
    missing = [cell for cell in product(BASES, METHODS) if cell not in held]
    if not missing:
        return ""
    bases = ", ".join(dict.fromkeys(base for base, _ in missing))
    methods = " and ".join(dict.fromkeys(method for _, method in missing))
    rows = "row is" if len(missing) == 1 else "rows are"
    return f"Of the paper's Table 1, {len(missing)} other {rows} not held here ({methods}; {bases}): see there."
