"""The overview's parts: links to a first look, models, clips, machine. Nothing here computes."""

from collections.abc import Sequence

import streamlit as st

from core.corpora.source import DEMO
from core.errors import Refusal
from core.figures.layout import number
from core.figures.words import SYNTHETIC, SYNTHETIC_HELP
from core.models.describe import Models
from core.models.info import ModelInfo
from core.settings import settings
from core.ui import context
from core.ui.highlights import Look, highlights
from core.ui.links import CLIP, HOME, PAGES, Parameters, carried, to_clip
from core.ui.selection import default_models
from core.ui.status import engine_line, size

_GO = ":material/arrow_forward:"
_ROLE_HELP = "frozen: only the head was trained; lora: low-rank updates too; full: all weights; untrained: a control."


def first_look(known: Models) -> None:
    """One button to a first insight, and links to a few more clips."""
    if not known.models:
        st.error("No model in the registry can be used; the reasons stand below.")
        return
    try:
        best, *others = highlights(context.listing(DEMO).clips, [model.name for model in known.models])
    except Refusal as error:
        st.error(str(error))
        return
    names = default_models(known)
    with st.container(border=True):
        st.markdown(
            f"**A first look.** One clip, {len(best.models or names)} models, every layer: what would each model "
            "answer if it had to decide at that depth?"
        )
        if best.text:
            st.markdown(f"**{best.title}.** {best.text}")
        # A link, so that it can be copied and opened beside; the style makes it look like the button it is.
        with st.container(key="first_look"):
            label = "Look into a clip, layer by layer"
            st.page_link(CLIP, label=label, icon=":material/graphic_eq:", query_params=_address(names, best))
        with st.container(key="other_looks"):
            *places, last = st.columns(len(others) + 1, gap="medium")
        for place, look in zip(places, others, strict=True):
            place.page_link(CLIP, label=f"**{look.title}**", icon=_GO, query_params=_address(names, look))
            if look.text:
                place.caption(look.text)
        last.page_link(CLIP, label="**Your own voice**", icon=_GO)


def questions() -> None:
    """What there is to ask of many clips at once: a link to the page that answers it."""
    st.subheader("What did LoRA change?", anchor=False)
    asked = [page for page in PAGES if page.path not in (HOME, CLIP)]
    cells = [cell for _ in range(0, len(asked), 2) for cell in st.columns(2, gap="medium")]
    for cell, page in zip(cells, asked, strict=False):
        with cell.container(border=True):
            st.page_link(page.path, label=f"**{page.title}**", icon=page.icon, query_params=carried())
            st.caption(page.question)


def say_synthetic(known: Models) -> None:
    """What the demo is and is not, where it is loaded."""
    if any(model.synthetic for model in known.models):
        st.caption(f"**{SYNTHETIC}.** {SYNTHETIC_HELP}")


def _address(usual: Sequence[str], look: Look) -> Parameters:
    return to_clip(look.models or usual, DEMO, look.clip.name, look.variant, look.frames)


def models(known: Models) -> None:
    """The models that can be used, and the others with their reasons."""
    st.subheader("Models", anchor=False)
    if known.models:
        st.dataframe(
            [_model_row(model) for model in known.models],
            hide_index=True,
            column_config={"role": st.column_config.TextColumn(help=_ROLE_HELP)},
        )
    for refused in known.refused:
        st.warning(refused.reason)
    st.caption(f"From {settings().registry}. The models of one group are compared by default.")


def _model_row(model: ModelInfo) -> dict[str, object]:
    return {
        "model": model.name,
        "role": model.role.value,
        "rank": "–" if model.rank is None else str(model.rank),
        "adapted": ", ".join(sorted({module.target for module in model.lora})) or "–",
        "layers": model.shape.layers,
        "parameters": _count(model.parameters),
        "window": f"{number(model.shape.window_samples / model.shape.sampling_rate)} s",
        "classes": ", ".join(model.labels),
        "group": model.group,
        "trained on": "synthetic demo" if model.synthetic else "–",
    }


def _count(parameters: int) -> str:
    """Weights as thousands, millions or billions."""
    for size_of, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if parameters >= size_of:
            return f"{number(parameters / size_of)} {unit}"
    return str(parameters)


def clips_and_machine() -> None:
    """Where clips come from, and what computes."""
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Clips", anchor=False)
        st.markdown("\n".join(f"- {line}" for line in _sources()))
    with right:
        st.subheader("Machine", anchor=False)
        stats = context.store().stats()
        st.markdown(
            f"- {engine_line(context.engine().status())}\n"
            f"- Cache: {stats.records} records, {size(stats.bytes)} of at most {size(stats.limit_bytes)}, "
            f"in `{stats.directory}`"
        )


def _sources() -> list[str]:
    try:
        listed = context.listing(DEMO).clips
    except Refusal as error:
        demo = str(error)
    else:
        speakers = len({clip.speaker for clip in listed if clip.speaker})
        demo = f"**demo**: {len(listed)} clips of synthetic speech, {speakers} voices"
    held = len(context.uploads().clips())
    return [
        demo,
        f"**uploads**: {held or 'none'} so far; upload or record on the Clip page",
        "**iemocap:/path/to/IEMOCAP_full_release**, **folder:/path/to/audio** or **dataset:/path/or/name**: "
        "type it under “Clips from” in the sidebar",
    ]
