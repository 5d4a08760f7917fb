"""The answer on top of the Clip page: sentences made of the numbers below them, and of nothing else."""

from collections.abc import Sequence

import numpy as np

from core.emotions import canonical
from core.figures.clip import ClipView
from core.figures.layout import number
from core.figures.say import listed


def answer(views: Sequence[ClipView], reference: str, label: str | None) -> list[str]:
    """What each model says and where that settles, the reference first; then who is right, where there is a label.

    Markdown. `views` are those that are ready; models that say the same share a sentence.
    """
    usable = [view for view in views if np.isfinite(view.final).all() and np.isfinite(view.probabilities).all()]
    ordered = sorted(usable, key=lambda view: view.model != reference)
    groups: list[list[ClipView]] = []
    for view in ordered:
        said = next((g for g in groups if g[0].predicted[0] == view.predicted[0] and _alike(g[0], view)), None)
        if said is None:
            groups.append([view])
        else:
            said.append(view)
    sentences = [_sentence(group) for group in groups]
    broken = [view.model for view in views if all(view is not one for one in usable)]
    if broken:
        sentences.append(f"{listed(broken)} gave numbers that are not finite, so there is nothing to read.")
    if label is not None and usable:
        sentences.append(_verdict(usable, canonical(label)))
    return sentences


def _alike(one: ClipView, other: ClipView) -> bool:
    """Whether one sentence can say where both settle."""
    return (one.saturation is None) == (other.saturation is None)


def _sentence(group: Sequence[ClipView]) -> str:
    many = len(group) > 1
    names = listed([f"**{view.model}**" for view in group])
    numbers = [number(view.predicted[1]) for view in group]
    sure = f"{numbers[0]} each" if many and len(set(numbers)) == 1 else listed(numbers)
    says = f"{names} {'say' if many else 'says'} **{group[0].predicted[0]}** ({sure})"
    return f"{says}{_settles(group)}."


def _settles(group: Sequence[ClipView]) -> str:
    points = [view.saturation for view in group if view.saturation is not None]
    if not points:
        who = {1: "never settles", 2: "neither settles"}.get(len(group), "none of them settles")
        reads = listed(sorted({view.names[int(view.probabilities[-1].argmax())] for view in group}))
        return f", but {who} on it in this variant: the last point reads {reads}"
    depths = {view.last for view in group}
    of = f" of {next(iter(depths))}" if len(depths) == 1 else ""
    if len(set(points)) > 1 or not of:
        return f" from points {listed([str(point) for point in points])}{of} on"
    if points[0] == 0:
        return " at every depth, from the input on"
    if points[0] in depths:
        return f", but only at the last point ({points[0]}{of})"
    return f" from point {points[0]}{of} on"


def _verdict(views: Sequence[ClipView], label: str) -> str:
    right = [view.model for view in views if view.predicted[0] == label]
    wrong = [view.model for view in views if view.predicted[0] != label]
    if len(views) == 1:
        return f"The clip is labelled {label}: {'right' if right else 'wrong'}."
    if not wrong:
        return f"The clip is labelled {label}: all are right."
    if not right:
        return f"The clip is labelled {label}: none is right."
    return f"The clip is labelled {label}: {listed(right)} {'is' if len(right) == 1 else 'are'} right."
