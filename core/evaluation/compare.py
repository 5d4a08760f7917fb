"""How good each group of models is, and how two of them differ on the same clips."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from core.analyses.request import Estimate, Note
from core.analyses.statistics import BOOTSTRAP_FROM, speaker_note, speakers_usable
from core.evaluation.bootstrap import confusions, draw_groups, estimate, resample, uars, wars
from core.evaluation.outcome import Group, Pooled, pool
from core.evaluation.scores import recalls, uar, war


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1) of UAR and WAR over `count` parts, which `over` names ("10 folds")."""

    uar: float
    uar_sd: float
    war: float
    war_sd: float
    over: str
    count: int


@dataclass(frozen=True)
class Scores:
    """One group's scores. `n` of the estimates counts different clips; recall is None for a class without clips."""

    group: Group
    uar: Estimate
    war: Estimate
    recall: tuple[Estimate | None, ...]
    confusion: Int[np.ndarray, "classes classes"]
    spread: Spread | None
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Comparison:
    """A group minus the reference, over the clips both were asked about, the same speakers drawn for both.

    `only_group` and `only_reference` count the clips that one got right and the other did not. With several members,
    a clip counts as right where more than half of those asked got it right.
    """

    name: str
    reference: str
    uar: Estimate
    war: Estimate
    only_group: int
    only_reference: int


def score(group: Group, seed: int) -> Scores:
    """UAR, WAR and recalls with 95 % intervals, the confusion matrix, and the spread over folds, seeds or speakers."""
    pooled = pool(group)
    over, speakers = _clusters(pooled)
    grouped = confusions(pooled.guess, pooled.truth, over, int(over.max()) + 1, len(group.classes))
    total, drawn = grouped.sum(axis=0), resample(draw_groups(len(grouped), seed), grouped)
    each, draws_of_each = recalls(total), recalls(drawn)
    count = len({clip.clip_id for clip in pooled.clips})
    per_class = [
        len({c.clip_id for c, t in zip(pooled.clips, pooled.truth, strict=True) if t == k}) for k in range(len(each))
    ]
    notes = [speaker_note([clip.speaker for clip in pooled.clips])]
    if speakers and len(grouped) < BOOTSTRAP_FROM:
        notes.append(Note("intervals", f"Only {len(grouped)} speakers to draw from: intervals are too narrow."))
    return Scores(
        group=group,
        uar=estimate(uar(pooled.guess, pooled.truth), uars(drawn), len(grouped), count),
        war=estimate(war(pooled.guess, pooled.truth), wars(drawn), len(grouped), count),
        recall=tuple(
            estimate(float(value), draws_of_each[:, k], len(grouped), per_class[k]) if per_class[k] else None
            for k, value in enumerate(each)
        ),
        confusion=total.astype(np.int64),
        spread=_spread(group, grouped if speakers else None),
        notes=tuple(note for note in notes if note is not None),
    )


def compare(group: Group, reference: Group, seed: int) -> Comparison | Note:
    """Group minus reference, paired, or why there is no difference. Both must have their classes in the same order."""
    about = f"{group.name} - {reference.name}"
    if group.classes != reference.classes:
        other = ", ".join(sorted(set(group.classes) ^ set(reference.classes)))
        return Note(about, f"Different classes ({other} not in both): no difference.")
    ours, theirs = pool(group), pool(reference)
    both = frozenset(clip.clip_id for clip in ours.clips) & {clip.clip_id for clip in theirs.clips}
    if not both:
        return Note(about, "They were not asked about any clip in common: no difference.")
    ours, theirs = ours.only(both), theirs.only(both)
    over, _ = _clusters(Pooled(ours.clips + theirs.clips, *_joined(ours, theirs)))
    n_groups, n_classes = int(over.max()) + 1, len(group.classes)
    draws = draw_groups(n_groups, seed)
    drawn = []
    for part, place in ((ours, over[: len(ours.clips)]), (theirs, over[len(ours.clips) :])):
        drawn.append(resample(draws, confusions(part.guess, part.truth, place, n_groups, n_classes)))
    mine, reference_right = _right(ours), _right(theirs)
    return Comparison(
        name=group.name,
        reference=reference.name,
        uar=estimate(
            uar(ours.guess, ours.truth) - uar(theirs.guess, theirs.truth),
            uars(drawn[0]) - uars(drawn[1]),
            n_groups,
            len(both),
        ),
        war=estimate(
            war(ours.guess, ours.truth) - war(theirs.guess, theirs.truth),
            wars(drawn[0]) - wars(drawn[1]),
            n_groups,
            len(both),
        ),
        only_group=len(mine - reference_right),
        only_reference=len(reference_right - mine),
    )


def _joined(a: Pooled, b: Pooled) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    return np.concatenate([a.guess, b.guess]), np.concatenate([a.truth, b.truth])


def _clusters(pooled: Pooled) -> tuple[Int[np.ndarray, " n"], bool]:
    """Which answers are drawn together (a speaker's, else a clip's), and whether that is by speaker."""
    speakers = speakers_usable([clip.speaker for clip in pooled.clips])
    names = [str(clip.speaker) if speakers else clip.clip_id for clip in pooled.clips]
    # sorted by numpy, so that a seed means the same whatever the clips' order
    return np.unique(names, return_inverse=True)[1].astype(np.int64), speakers


def _spread(group: Group, by_speaker: Float64[np.ndarray, "speakers classes classes"] | None) -> Spread | None:
    if len(group.members) > 1:
        outcomes = [member.outcome for member in group.members]
        each_uar = np.array([uar(one.guess, one.truth) for one in outcomes])
        each_war = np.array([war(one.guess, one.truth) for one in outcomes])
        over = _over(group)
    elif by_speaker is not None:
        each_uar, each_war, over = uars(by_speaker), wars(by_speaker), f"{len(by_speaker)} speakers"
    else:
        return None
    return Spread(
        *(float(each_uar.mean()), float(each_uar.std(ddof=1))),
        *(float(each_war.mean()), float(each_war.std(ddof=1))),
        over,
        len(each_uar),
    )


def _over(group: Group) -> str:
    """ "10 folds", "3 seeds", "10 folds x 3 seeds", or for a gappy set "7 models of 3 folds and 3 seeds"."""
    folds = len({member.fold for member in group.members})
    seeds = len({member.seed for member in group.members})
    if folds * seeds != len(group.members):
        return f"{len(group.members)} models of {folds} folds and {seeds} seeds"
    parts = [f"{count} {what}" for count, what in ((folds, "folds"), (seeds, "seeds")) if count > 1]
    return " x ".join(parts)


def _right(pooled: Pooled) -> set[str]:
    """Clips that more than half of the members asked got right."""
    votes: dict[str, list[bool]] = {}
    for clip, right in zip(pooled.clips, pooled.guess == pooled.truth, strict=True):
        votes.setdefault(clip.clip_id, []).append(bool(right))
    return {clip_id for clip_id, each in votes.items() if 2 * sum(each) > len(each)}
