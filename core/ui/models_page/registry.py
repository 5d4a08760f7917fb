"""The registry as a table; adding a model after it was checked, and taking one out."""

from collections.abc import Mapping
from functools import partial

import streamlit as st

from core import commas
from core.errors import Refusal
from core.evaluation.history import History
from core.evaluation.verdicts import Level, worst
from core.figures.layout import number
from core.models.describe import describe
from core.models.edit import Change, add_entry, remove_entry, undo
from core.models.info import ModelInfo
from core.models.memory import ModelMemory
from core.models.registry import parse_entry
from core.settings import settings
from core.ui import context
from core.ui.chores import Chore, chores
from core.ui.keys import Key
from core.ui.links import CLIP, carried
from core.ui.models_page import sheet
from core.ui.models_page.known import Known, Papers
from core.ui.notices import notice
from core.ui.sources import grouped
from core.ui.status import size

_VERDICT = {
    Level.LEAK: "⚠ seen in training",
    Level.CLEAN: "unseen",
    Level.UNKNOWN: "unknown",
    Level.NOTE: "unseen",
}
KINDS = {"LoRA adapter": "adapter", "trained head": "head", "whole model": "base"}
_ADDED, _REMOVED = "models_added", "models_removed"  # in the session: the last of each
_HELP = {
    "base": "The Whisper checkpoint that every model over it shares in memory.",
    "UAR": "Unweighted average recall, from the manifest beside the checkpoint.",
    "WAR": "Accuracy, from the manifest beside the checkpoint.",
    "scored on": "The fold's own clips that UAR and WAR are over. On validation clips the epoch was chosen, so scores "
    "over them are a little too good. Fold by fold, below, says how many they are.",
    "these clips": "Whether training saw the sidebar's clips, or anything of their speakers, sessions or dialogs.",
    "trained on": "From the manifest beside the checkpoint, which `python -m core train` writes.",
    "layers": "Those that its adapter changes.",
    "source": "Where the clips it was trained on came from, as its training was told, and how many speakers they have.",
    "loaded": "In the engine's memory right now.",
    "memory": "What its own weights take, adapter and head, once it was loaded; its base comes on top, once for all "
    "models over it.",
}


def table(known: Known) -> None:
    """All models that can be used, and the others with their reasons."""
    memory = context.engine().status().memory
    if known.models.models:
        st.dataframe(
            [_row(known, model, memory.of(model)) for model in known.models.models],
            hide_index=True,
            column_config={name: st.column_config.TextColumn(help=text) for name, text in _HELP.items()},
        )
    for refused in known.models.refused:
        st.warning(refused.reason)
    for papers in known.papers.values():
        if papers.problem:
            st.warning(papers.problem)


def _row(known: Known, model: ModelInfo, memory: ModelMemory | None) -> dict[str, object]:
    papers = known.papers[model.name]
    found = known.verdicts(model)
    return {
        "model": model.name,
        "base": known.entries[model.name].base,
        "these clips": _VERDICT[worst(found)] if found else "…",
        **_scores(papers.history),
        "trained on": _trained_on(papers),
        "rank": sheet.ranks(model) or "–",
        "alpha": sheet.alpha(model) or "–",
        "targets": sheet.targets(model) or "–",
        "layers": sheet.layers(model) or "–",
        "parameters": f"{number(model.parameters / 1e6)} M",
        "loaded": "yes" if memory is not None and memory.loaded else "–",
        "memory": "–" if memory is None else size(memory.own_bytes),
        "role": model.role.value,
        "source": _source(papers),
    }


def _trained_on(papers: Papers) -> str:
    if papers.manifest is None:
        return "not known"
    return f"{grouped(len(papers.manifest.train.clip_ids))} clips"


def _source(papers: Papers) -> str:
    if papers.manifest is None:
        return "–"
    speakers = papers.manifest.train.speakers
    return ", ".join([*papers.manifest.source, *([f"{grouped(len(speakers))} speakers"] if speakers else [])])


def _scores(history: History | None) -> dict[str, str]:
    if history is None:
        return {"UAR": "–", "WAR": "–", "scored on": "–"}
    result, part = (history.test, "test") if history.test is not None else (history.validation, "validation")
    return {"UAR": number(result.uar), "WAR": number(result.war), "scored on": part}


def change(known: Known) -> None:
    """The controls that add and remove, and what came of them."""
    said = st.container()  # above the form, however long that is
    with st.expander("Add a model", icon=":material/add:"):
        _ask_to_add(known)
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.popover("Remove a model", icon=":material/remove:"):
            _ask_to_remove(known)
        st.caption(f"In {settings().registry}; comments and order in it stay.", width="content")
    with said:
        _say_removed()
        _say_added()


def _ask_to_add(known: Known) -> None:
    kind = st.segmented_control("What it is", list(KINDS), default="LoRA adapter", required=True, key=Key.ADD_KIND)
    left, right = st.columns(2)
    place = left.text_input(
        "Path or hub id",
        key=Key.ADD_PLACE,
        placeholder="runs/r32/fold1 or someone/my-lora",
        help="A directory on the server, from where the registry file lies, or a Hugging Face id. Safetensors only.",
    )
    base = None
    if kind != "whole model":
        bases = list(dict.fromkeys(entry.base for entry in known.entries.values()))
        base = right.selectbox(
            "Its base", bases, key=Key.ADD_BASE, accept_new_options=True, help="The encoder it was trained on."
        )
    left, middle, right = st.columns(3)
    name = left.text_input("Name", key=Key.ADD_NAME, placeholder="shown everywhere, unique")
    group = middle.text_input("Group", key=Key.ADD_GROUP, help="Models of one group are compared by default.")
    labels = right.text_input(
        "Classes, in the order of its outputs",
        key=Key.ADD_LABELS,
        placeholder="anger, happiness, neutral, sadness",
        help="An adapter never names its classes. Leave it empty where the checkpoint's config does.",
    )
    given = {KINDS[kind]: place, "name": name, "group": group} | ({} if base is None else {"base": base})
    table: dict[str, object] = {key: text.strip() for key, text in given.items() if text and text.strip()}
    if classes := commas.split(labels):
        table["labels"] = classes
    order = ("name", "base", "adapter", "head", "group", "labels")
    table = {key: table[key] for key in order if key in table}
    if st.button("Check and add", key=Key.ADD, type="primary"):
        if place.strip():
            _add(table)
        else:
            notice("Give the path or hub id of its checkpoint.")


def _add(table: Mapping[str, object]) -> None:
    """Begin to check."""
    path = settings().registry
    index, engine = context.store().index, context.engine()

    def check(_: Chore) -> str:
        """Find, read and load it; only then is it written down."""
        model = describe(parse_entry(table, path.resolve().parent), index, download=True)
        if reason := engine.check(model):
            raise Refusal(reason)
        add_entry(path, table)
        return model.name

    what = ("add", str(path), tuple((key, str(value)) for key, value in table.items()))
    chores().ask(what, check, again=True)
    st.session_state[_ADDED] = what, str(table.get("name", "It"))


def _say_added() -> None:
    what, name = st.session_state.get(_ADDED, (None, ""))
    chore = None if what is None else chores().find(what)
    if chore is None:
        return
    if chore.active:
        st.info(f"Checking {name}: reading its files, then loading it …", icon=":material/hourglass_top:")
    elif chore.reason is not None:
        st.error(f"{name} was not added: {chore.reason}")
    else:
        st.success(f"{name} loads and was added.")
        chosen = carried()
        chosen[Key.MODELS.value] = [*st.session_state.get(Key.MODELS, []), str(chore.result)]
        st.page_link(CLIP, label="Look at a clip with it", icon=":material/graphic_eq:", query_params=chosen)


def _ask_to_remove(known: Known) -> None:
    names = [*known.entries, *(one.name for one in known.models.refused if one.name not in known.entries)]
    name = st.selectbox("Model", names, index=None, key=Key.REMOVE_NAME, placeholder="Choose a model")
    st.caption("Its entry is taken out of the registry; its files stay where they are.")
    if name is not None:
        st.button(f"Remove {name}", key=Key.REMOVE, type="primary", on_click=partial(_remove, name))


def _remove(name: str) -> None:
    """A widget's callback."""
    st.session_state.pop(_ADDED, None)
    try:
        st.session_state[_REMOVED] = name, remove_entry(settings().registry, name)
    except Refusal as error:
        notice(str(error))
    st.session_state[Key.REMOVE_NAME] = None
    if name in (chosen := st.session_state.get(Key.MODELS, [])):
        st.session_state[Key.MODELS] = [other for other in chosen if other != name]


def _say_removed() -> None:
    if _REMOVED not in st.session_state:
        return
    name, done = st.session_state[_REMOVED]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{name} was taken out of the registry.", width="content")
        st.button("Undo", key=Key.UNDO, on_click=partial(_undo, done), icon=":material/undo:")


def _undo(done: Change) -> None:
    """A widget's callback."""
    st.session_state.pop(_REMOVED, None)
    try:
        undo(done)
    except Refusal as error:
        notice(str(error))
