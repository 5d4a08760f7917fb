"""The Ranks page's lower half: one analysis at a time for all chosen ranks, asked for when it is opened."""

from collections.abc import Sequence

import streamlit as st

from core.figures import contributions, lens, similarity, spectra
from core.figures import ranks as figures
from core.figures.layout import number
from core.figures.view import View
from core.models.info import ModelInfo
from core.ui.choice import one_of
from core.ui.corpus import Corpus
from core.ui.drawn import drawn
from core.ui.keys import Key
from core.ui.status import size

SEPARATION, SCORES = "separation", "scores and size"
LOOKS = (SEPARATION, SCORES, "contributions", "lens", "spectra", "similarity")
_NO_PAIRS = "No paired difference is computed for these: intervals that overlap may still hide one."


def draw(page: Corpus, others: Sequence[ModelInfo], target: str) -> None:
    """What was chosen; `others` are models without LoRA, for comparison."""
    look = one_of("Compare", LOOKS, Key.COMPARE)
    if look == SEPARATION:
        _separation(page, target)
    elif look == SCORES:
        _scores(page, others)
    elif look == "contributions":
        # Differences are to the lowest rank, so that what more rank changes is paired clip by clip.
        more = page.also(["contributions"], models=(*others, *page.view.models))
        _say(figures.contribution_verdicts(more.view))
        more.show(Key.CONTRIBUTIONS, "contributions", contributions.main(more.view, "relative"))
    elif look == "lens":
        more = page.also(["lens"], models=(*others, *page.view.models))
        _say(figures.lens_verdicts(more.view))
        more.show(Key.LENS, "lens", lens.main(more.view))
    elif look == "spectra":
        more = page.also(["spectra"])
        _say(figures.spectrum_verdicts(more.view), _NO_PAIRS)
        more.show(Key.EFFICIENCY, "spectra", spectra.efficiency(more.view))
        more.show(Key.SV90, "spectra", spectra.distribution(more.view))
    else:
        more = page.also(["cka", "spectra"])
        _say(figures.similarity_verdicts(more.view, target), _NO_PAIRS)
        more.show(Key.ALIGNMENT, "cka", similarity.alignment(more.view, "linear", target))
        if pairs := list(spectra.pairs(more.view)):
            st.markdown("**Did two ranks find the same directions?**")
            more.show(Key.WEIGHTS, "spectra", spectra.subspaces(more.view, one_of("Pair", pairs, Key.PAIR)))


def _separation(page: Corpus, target: str) -> None:
    view = page.view
    if view.done and not figures.emotions(view):
        st.caption("Separation is between emotions, and these clips have no labels to tell them by.")
        return
    of = one_of("Clips", [figures.ALL, *figures.emotions(view)], Key.OF)
    _say(figures.verdicts(view, target, None if of == figures.ALL else of))
    page.show(Key.SEPARATION, "ranks", drawn(figures.separation, view, target, of))
    if len(view.models) > 1:
        st.subheader("Does rank matter more for some emotions?", anchor=False)
        st.markdown(figures.claim(view) or "The paper: neutral < sadness < anger < happiness.")
        page.show(Key.SENSITIVITY, "ranks", drawn(figures.sensitivity, view))


def _scores(page: Corpus, others: Sequence[ModelInfo]) -> None:
    more = page.also(["lens"], models=(*others, *page.view.models), variant="corrected", frames="all")
    view = more.view
    _say(figures.score_verdicts(view))
    more.show(Key.SCORES, "lens", figures.scores(view))
    if why := figures.unscored(view):
        st.caption(why)
    st.dataframe([_row(view, model) for model in view.models], hide_index=True)


def _row(view: View, model: ModelInfo) -> dict[str, object]:
    scores = {name: figures.scored(view, model, name) for name in ("UAR", "WAR")}
    return {
        "model": model.name,
        "rank": "–" if model.rank is None else str(model.rank),
        "LoRA parameters": f"{figures.cost(model):,}".replace(",", "\u2009") if model.lora else "–",
        "of all": f"{number(100 * figures.cost(model) / model.parameters)} %" if model.lora else "–",
        "file": size(model.files.adapter.stat().st_size) if model.files.adapter else "–",
        **{name: number(row.value) if row and row.value is not None else "–" for name, row in scores.items()},
    }


def _say(sentences: Sequence[str], note: str = "") -> None:
    """Verdicts, one a line; a note where there are any."""
    st.markdown("  \n".join(sentences))
    if sentences and note:
        st.caption(note)
