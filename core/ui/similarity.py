"""The Similarity page's own controls."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

import streamlit as st

from core.analyses.cka_result import Kernel
from core.figures import similarity as figures
from core.figures.similarity.rows import Estimator
from core.figures.view import View
from core.models.info import ModelInfo
from core.ui.keys import Key

K = TypeVar("K", bound=str)

_ESTIMATOR_OF = "estimator_of"  # in the session: the variant that the estimator was last chosen under
_UNRELATED_HELP = "What CKA is with the clips of one side shuffled. Without it the axis closes in on the lines."


def kernel(view: View) -> Kernel:
    """Linear or RBF; in `released` each series has its own."""
    if view.variant == "released":
        return "linear"
    return _choose("Kernel", figures.KERNELS, Key.KERNEL)


def target(names: Sequence[str]) -> str:
    """Which of the adapted projections, where there are several."""
    return names[0] if len(names) == 1 else _choose("Module", {name: name for name in names}, Key.TARGET)


def series(view: View, kernel: Kernel) -> str:
    """Under a split: which of the series."""
    every = figures.series(view.variant, kernel)
    if not view.by:
        return next(iter(every))
    released = view.variant == "released"
    names = {key: one.name if released else key.replace("_", ", ") for key, one in every.items()}
    return _choose("Series", names, Key.SERIES)


def unrelated(view: View) -> bool:
    """Whether the null bands are drawn; one clip alone and groups have none to draw."""
    if view.by or view.total == 1:
        return False
    return st.toggle("Unrelated features", True, key=Key.UNRELATED, bind="query-params", help=_UNRELATED_HELP)


def estimator(view: View) -> Estimator:
    """Of the heatmaps; the variant's own unless asked for, also after a change of the variant."""
    if st.session_state.setdefault(_ESTIMATOR_OF, view.variant) != view.variant:
        st.session_state[_ESTIMATOR_OF] = view.variant
        st.session_state.pop(Key.ESTIMATOR, None)
    return _choose("Estimator", figures.estimators(view.variant), Key.ESTIMATOR)


def pair(view: View) -> tuple[ModelInfo, ModelInfo]:
    """The two models of the heatmaps: the reference and the last other, unless asked for."""
    default = view.others[-1] if view.others else view.reference
    return _model(view, "Compare", Key.ROWS, view.reference), _model(view, "with", Key.COLUMNS, default)


def group(view: View) -> str:
    """Under a split: the group that the heatmaps show."""
    if not view.groups:
        return ""
    _keep(Key.GROUP, view.groups)
    return st.selectbox("Clips", view.groups, key=Key.GROUP, bind="query-params", width=180)


def captions(*texts: str) -> None:
    """A quiet line for each that says something."""
    for text in texts:
        if text:
            st.caption(text)


def _model(view: View, label: str, key: Key, default: ModelInfo) -> ModelInfo:
    models = {model.name: model for model in view.models}
    _keep(key, models)
    name = st.selectbox(label, list(models), list(models).index(default.name), key=key, bind="query-params", width=180)
    return models[name]


def _choose(label: str, names: Mapping[K, str], key: Key) -> K:
    """What is shown is also what the address holds, so the names themselves are the options."""
    keys = {name: option for option, name in names.items()}
    _keep(key, keys)
    name = st.segmented_control(
        label,
        list(keys),
        default=next(iter(keys)),
        required=True,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
    )
    return keys[name] if name in keys else next(iter(names))


def _keep(key: Key, options: Collection[str]) -> None:
    """Forget what was chosen where it is no longer there to be chosen."""
    if key in st.session_state and st.session_state[key] not in options:
        del st.session_state[key]
