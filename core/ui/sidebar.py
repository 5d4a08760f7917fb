"""The sidebar, the same on every page: pages, models, clips, variant and frames. Below it comes `core.ui.status`."""

import streamlit as st

from core.analyses.request import DEFAULT_FRAMES, Frames, Variant
from core.figures.words import VARIANTS
from core.models.describe import Models, default_reference
from core.models.info import ModelInfo
from core.ui import sources
from core.ui.keys import Key
from core.ui.links import PAGES, carried
from core.ui.selection import Selection, default_models

FRAMES: tuple[Frames, ...] = ("all", "audio")

_VARIANT_HELP = f"""The same question, computed in up to three ways; under each chart, Formula says which one is shown.

{chr(10).join(f"- **{name}**: {text}" for name, text in VARIANTS.items())}

Contributions are the same in all three."""
_FRAMES_HELP = """Whisper always sees a full window, so a short clip is mostly padding.

- **all**: padding included, as in the paper
- **audio**: only the frames that hold sound

The model's own answer is always over all frames."""


def choose(known: Models, *, one_clip: bool) -> Selection:
    """Draw the controls and say what they are set to; `one_clip` is for pages that look at a single clip."""
    models, reference = _choose_models(known)
    chosen = sources.draw(models, one_clip=one_clip)
    variant, frames = _choose_variant()
    return Selection(models, reference, chosen, variant, frames)


def draw_pages() -> None:
    """Links to all pages; they keep what is chosen, also in a new tab."""
    for page in PAGES:
        st.page_link(page.path, label=page.title, icon=page.icon, query_params=carried())


def _choose_models(known: Models) -> tuple[tuple[ModelInfo, ...], ModelInfo | None]:
    names = st.multiselect(
        "Models",
        [model.name for model in known.models],
        default=default_models(known),
        key=Key.MODELS,
        bind="query-params",
        placeholder="Choose models",
    )
    models = tuple(model for model in known.models if model.name in names)
    if not models:
        return models, None
    options = [model.name for model in models]
    usual = default_reference(models)
    if st.session_state.get(Key.REFERENCE, usual) not in options:
        st.session_state[Key.REFERENCE] = usual
    reference = st.selectbox(
        "Reference",
        options,
        index=options.index(usual),
        key=Key.REFERENCE,
        bind="query-params",
        help="The model the others are held against, usually the frozen one.",
    )
    return models, known.named(reference)


def _choose_variant() -> tuple[Variant, Frames]:
    variant = st.segmented_control(
        "Variant",
        list(VARIANTS),
        default="published",
        required=True,
        key=Key.VARIANT,
        bind="query-params",
        help=_VARIANT_HELP,
        on_change=_take_usual_frames,
        width="stretch",
    )
    frames = st.segmented_control(
        "Frames",
        FRAMES,
        default=DEFAULT_FRAMES[variant],
        required=True,
        key=Key.FRAMES,
        bind="query-params",
        help=_FRAMES_HELP,
        width="stretch",
    )
    return variant, frames


def _take_usual_frames() -> None:
    """Each variant has its usual frames; whoever wants the others says so after choosing it."""
    st.session_state[Key.FRAMES] = DEFAULT_FRAMES[st.session_state[Key.VARIANT]]
