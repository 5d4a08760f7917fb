"""The clips behind a point of the lens: where it reads the label worst and best."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int

from core.analyses.tidy import Table
from core.corpora.clip import Clip
from core.emotions import canonical, class_index
from core.figures.view import View

_LISTED = 5  # at either end


@dataclass(frozen=True)
class Reading:
    """What the lens reads in a clip: the most probable class with its probability, the label's (None without a
    label), and KL to the model's own answer in nats."""

    clip: Clip
    reads: str
    probability: float
    label: float | None
    kl: float


@dataclass(frozen=True)
class Behind:
    """The clips at both ends, the worst of the worst and the best of the best first, of `n` that have a value.

    `measure` is what they are sorted by: the label's probability, or KL where no clip has a label.
    """

    measure: Literal["label", "kl"]
    worst: tuple[Reading, ...] = ()
    best: tuple[Reading, ...] = ()
    n: int = 0


def behind(view: View, model: str, point: int, group: str = "") -> Behind:
    """The clips behind a model's point; with a split one group's. Clips without a value are left out."""
    rows = view.table("lens", group).pick(model=model, layer=point, statistic=("prob", "kl_clip"))
    probabilities, ids, classes = _matrix(rows.pick(statistic="prob"))
    clips = {clip.clip_id: clip for clip in view.clips}
    label_of = {label: class_index(label, tuple(classes)) for label in {clip.label for clip in view.clips}}
    truth = np.array([-1 if (i := label_of.get(clips[one].label)) is None else i for one in ids], dtype=np.int64)
    labelled = bool((truth >= 0).any())
    kl_of = rows.pick(statistic="kl_clip", component=None)
    by_id = dict(zip(kl_of.texts("clip_id"), kl_of.columns["value"].tolist(), strict=True))
    kl = np.array([by_id.get(one, np.nan) for one in ids])
    own = np.full(len(ids), np.nan)
    own[truth >= 0] = probabilities[truth >= 0, truth[truth >= 0]]
    badness = -own if labelled else kl
    order = np.argsort(-badness, kind="stable")
    order = order[np.isfinite(badness[order])]
    readings = {
        int(i): Reading(
            clips[ids[i]],
            canonical(classes[int(probabilities[i].argmax())]),
            float(probabilities[i].max()),
            float(own[i]) if truth[i] >= 0 else None,
            float(kl[i]),
        )
        for i in (*order[:_LISTED], *order[-_LISTED:])
    }
    half = min(_LISTED, -(-len(order) // 2))
    return Behind(
        "label" if labelled else "kl",
        tuple(readings[int(i)] for i in order[:half]),
        tuple(readings[int(i)] for i in order[half:][-_LISTED:][::-1]),
        len(order),
    )


def _matrix(rows: Table) -> tuple[Float64[np.ndarray, "clips classes"], list[str], list[str]]:
    """One point's probabilities with the clips' ids and the classes' names, each in their order in the rows."""
    ids, clip = _ranked(rows, "clip_id")
    classes, of = _ranked(rows, "component")
    matrix = np.full((len(ids), len(classes)), np.nan)
    matrix[clip, of] = rows.columns["value"]
    return matrix, ids, classes


def _ranked(rows: Table, column: str) -> tuple[list[str], Int[np.ndarray, " rows"]]:
    """What a text column holds, each once, and which of them every row has."""
    codes, first, place = np.unique(rows.columns[column], return_index=True, return_inverse=True)
    order = np.argsort(first)
    return [rows.words[code] for code in codes[order]], np.argsort(order)[place]
