"""An evaluation as text: the table, confusion matrices, comparisons, and what training saw."""

from collections.abc import Iterator, Sequence

from core.analyses.request import Estimate
from core.evaluation.compare import Comparison, Scores

_NONE = "–"


def as_text(scores: Sequence[Scores], comparisons: Sequence[Comparison]) -> str:
    """Everything worth reading, numbers with three decimals, 95 % intervals in brackets."""
    parts = [_table(scores), *map(_matrix, scores)]
    if comparisons:
        parts.append("\n".join(["On the same clips", *map(_comparison, comparisons)]))
    parts.append("\n".join(["Training data", *(line for one in scores for line in audit_lines(one))]))
    return "\n\n".join(parts)


def _table(scores: Sequence[Scores]) -> str:
    head = ["model", "n", "UAR [95 % CI]", "WAR [95 % CI]", "UAR mean ± sd", "WAR mean ± sd", "over"]
    rows = [head]
    for one in scores:
        spread = one.spread
        means = [_NONE] * 3
        if spread is not None:
            means = [f"{spread.uar:.3f} ± {spread.uar_sd:.3f}", f"{spread.war:.3f} ± {spread.war_sd:.3f}", spread.over]
        rows.append([one.group.name, str(one.uar.n), interval(one.uar), interval(one.war), *means])
    return columns(rows)


def _matrix(one: Scores) -> str:
    classes = one.group.classes
    rows = [[f"{one.group.name}: truth \\ guess", *classes, "recall [95 % CI]"]]
    for name, counts, recall in zip(classes, one.confusion.tolist(), one.recall, strict=True):
        rows.append([name, *map(str, counts), _NONE if recall is None else interval(recall)])
    return columns(rows)


def _comparison(one: Comparison) -> str:
    return (
        f"{one.name} - {one.reference}: UAR {interval(one.uar, '+.3f')}, WAR {interval(one.war, '+.3f')}; of "
        f"{one.uar.n} clips {one.only_group} right only in {one.name}, {one.only_reference} only in {one.reference}"
    )


def audit_lines(one: Scores) -> Iterator[str]:
    """One line a row where its members agree, else one for each thing there is to say of some of them."""
    said: dict[str, list[str]] = {}
    for member in one.group.members:
        said.setdefault(member.audit.text, []).append(member.title)
    for text, titles in said.items():
        which = f" ({', '.join(titles)})" if len(said) > 1 else ""
        yield f"{one.group.name}{which}: {text}"


def interval(estimate: Estimate, form: str = ".3f") -> str:
    """`0.612 [0.580, 0.641]`, without brackets where there is no interval."""
    value = format(estimate.value, form)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{format(estimate.low, form)}, {format(estimate.high, form)}]"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows under each other; the first column to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *others = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join(lines)
