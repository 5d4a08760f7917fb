"""An evaluation as tidy rows and as JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from core.analyses.request import Estimate, Row
from core.analyses.table import estimate_row, number
from core.evaluation.compare import Comparison, Scores
from core.evaluation.outcome import Member
from core.evaluation.scores import confusion, uar, war


def rows(scores: Sequence[Scores], comparisons: Sequence[Comparison]) -> Iterator[Row]:
    """One number a row. Confusion cells have the component `true>guess`, mean and sd what they are over."""
    for one in scores:
        row = Row("evaluate", "published", one.group.name)
        yield estimate_row(replace(row, statistic="uar"), one.uar)
        yield estimate_row(replace(row, statistic="war"), one.war)
        if one.spread is not None:
            for name in ("uar", "war"):
                for suffix, part in (("_mean", name), ("_sd", f"{name}_sd")):
                    yield replace(
                        row,
                        component=one.spread.over,
                        statistic=name + suffix,
                        value=number(getattr(one.spread, part)),
                        n=one.spread.count,
                    )
        for true, recall, counts in zip(one.group.classes, one.recall, one.confusion, strict=True):
            yield estimate_row(replace(row, component=true, statistic="recall"), recall)
            for guess, count in zip(one.group.classes, counts, strict=True):
                yield replace(
                    row, component=f"{true}>{guess}", statistic="confusion", value=float(count), n=int(counts.sum())
                )
    for both in comparisons:
        row = Row("evaluate", "published", both.name, versus=both.reference)
        yield estimate_row(replace(row, statistic="uar"), both.uar)
        yield estimate_row(replace(row, statistic="war"), both.war)
        yield replace(row, statistic="only_model", value=float(both.only_group), n=both.uar.n)
        yield replace(row, statistic="only_versus", value=float(both.only_reference), n=both.uar.n)


def as_json(scores: Sequence[Scores], comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """The same and what it is made of: every member with its own scores, clips and audit."""
    return {
        "rows": [_scores_json(one) for one in scores],
        "comparisons": [
            {"model": one.name, "versus": one.reference}
            | {"uar": _estimate_json(one.uar), "war": _estimate_json(one.war)}
            | {"only_model": one.only_group, "only_versus": one.only_reference}
            for one in comparisons
        ],
    }


def _scores_json(one: Scores) -> dict[str, Any]:
    classes = one.group.classes
    return {
        "name": one.group.name,
        "classes": classes,
        "uar": _estimate_json(one.uar),
        "war": _estimate_json(one.war),
        "spread": None if one.spread is None else asdict(one.spread),
        "recall": {name: _estimate_json(recall) for name, recall in zip(classes, one.recall, strict=True)},
        "confusion": one.confusion.tolist(),
        "members": [_member_json(member, len(classes)) for member in one.group.members],
    }


def _member_json(member: Member, n_classes: int) -> dict[str, Any]:
    guess, truth, model = member.outcome.guess, member.outcome.truth, member.model
    return {
        "title": member.title,
        "fold": member.fold,
        "seed": member.seed,
        "fingerprint": model.fingerprint,
        "base_fingerprint": model.base_fingerprint,
        "n": len(truth),
        "uar": number(uar(guess, truth)),
        "war": number(war(guess, truth)),
        "confusion": confusion(guess, truth, n_classes).tolist(),
        "clip_ids": [clip.clip_id for clip in member.outcome.clips],
        "audit": asdict(member.audit),
    }


def _estimate_json(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else {name: number(value) for name, value in asdict(estimate).items()}
