"""How the chosen models were trained and how good they got, fold by fold."""

import csv
import io
from collections.abc import Sequence

import streamlit as st

from core.corpora.source import IEMOCAP
from core.errors import Refusal
from core.evaluation import paper
from core.evaluation.history import History, Result, siblings, summarise
from core.figures import training as figures
from core.figures.layout import number
from core.figures.theme import model_styles
from core.models.info import ModelInfo
from core.training.recipe import method_name
from core.ui import links, viewport
from core.ui.charts import Chart, Reproduce, show
from core.ui.keys import Key
from core.ui.models_page.known import Known

_TTL_S = 10.0
_BASES = "openai/whisper-"  # on the hub


def draw(known: Known, chosen: Sequence[ModelInfo], keys: Sequence[Key]) -> None:
    """Curves, the scores of each recipe over its folds, and every fold; of the models that the sidebar chooses."""
    told = [(model, history) for model in chosen if (history := known.papers[model.name].history) is not None]
    if not told:
        st.info(
            "None of the chosen models has a training manifest beside its checkpoint (`python -m core train` writes "
            "one), so there are no curves and no folds to show."
        )
        return
    styles = model_styles([(model.role, model.rank) for model, _ in told])
    runs = [figures.Run(model.name, style, history) for (model, history), style in zip(told, styles, strict=True)]
    commands = dict.fromkeys(run.history.command for run in runs if run.history.command)
    show(
        Chart(
            key=Key.TRAINING,
            figure=figures.training_curves(runs, stacked=viewport.narrow()),
            alt=figures.alt(runs),
            how_to_read=figures.HOW_TO_READ,
            formula=figures.FORMULA,
            formula_note=figures.FORMULA_NOTE,
            table=lambda: figures.rows(runs),
            csv=lambda: _csv(figures.rows(runs)),
            filename="training",
            reproduce=Reproduce(
                links.address(links.MODELS, (*keys, *links.CARRIED)),
                "\n".join(commands),
                "As each manifest says; paths are from where training ran.",
            ),
        )
    )
    without = [model.name for model in chosen if known.papers[model.name].history is None]
    if without:
        st.caption(f"Without a training manifest, so not shown: {', '.join(without)}.")
    _scores(known, told)


def _scores(known: Known, told: Sequence[tuple[ModelInfo, History]]) -> None:
    st.subheader("How good are they?", anchor=False)
    table: dict[tuple[str, str], dict[str, object]] = {}
    folds: dict[tuple[str, str], dict[str, object]] = {}
    for model, history in told:
        manifest = history.manifest
        try:
            found = _siblings(history, str(manifest.directory))
        except Refusal as error:
            st.warning(str(error))
            continue
        # one row a recipe, however many of its folds are in the registry; models that share a directory are others
        name, key = method_name(manifest.method, manifest.rank), (str(manifest.directory.parent), manifest.recipe)
        total = summarise(found)
        table[key] = {
            "base": known.entries[model.name].base,
            "method": f"{name}, labels shuffled" if manifest.shuffled else name,
            "UAR": _spread(total.uar, total.uar_sd),
            "WAR": _spread(total.war, total.war_sd),
            "over": f"{total.folds} fold{'' if total.folds == 1 else 's'}",
            "scored on": "test" if total.on_test else "validation",
            "folds by": f"{manifest.scheme}, LEAKING" if manifest.leaking else manifest.scheme,
            "clips": ", ".join(manifest.source),
        }
        for one in found:
            folds[str(one.manifest.directory), str(one.manifest.seed)] = _fold(name, one)
    st.dataframe([*table.values(), *map(_of_the_paper, paper.TABLE_1)], hide_index=True)
    st.caption(
        "Mean ± standard deviation over the folds and seeds that lie beside each checkpoint, as their manifests say; "
        "on validation clips the epoch was chosen, so scores over them are a little too good. "
        f"The paper's: {paper.SOURCE}. {paper.left_out()}"
    )
    if not any(source.startswith(IEMOCAP) for _, history in told for source in history.manifest.source):
        st.caption("None of the models above was trained on IEMOCAP, so the paper's scores are no target for them.")
    with st.expander(f"Fold by fold ({len(folds)})"):
        st.dataframe(list(folds.values()), hide_index=True)


def _of_the_paper(row: paper.PaperRow) -> dict[str, object]:
    return {
        "base": f"{_BASES}{row.base}",
        "method": f"{row.method}, the paper's",
        "UAR": _spread(row.uar, row.uar_sd),
        "WAR": _spread(row.war, row.war_sd),
        "over": "10 folds",
        "scored on": "–",
        "folds by": "–",
        "clips": "IEMOCAP",
    }


@st.cache_resource(show_spinner=False, ttl=_TTL_S, max_entries=64)
def _siblings(_history: History, directory: str) -> tuple[History, ...]:
    return siblings(_history)


def _fold(name: str, one: History) -> dict[str, object]:
    return {
        "method": name,
        "fold": one.manifest.fold,
        "held out": one.held_out,
        "seed": one.manifest.seed,
        **_result("test", one.test),
        **_result("validation", one.validation),
        "epoch kept": f"{one.best} of {len(one.epochs)}",
        "trained for": f"{one.seconds / 60:.0f} min" if one.seconds >= 90 else f"{one.seconds:.0f} s",
    }


def _result(part: str, result: Result | None) -> dict[str, object]:
    if result is None:
        return {f"{part} clips": "none", f"{part} UAR": "–", f"{part} WAR": "–"}
    return {f"{part} clips": str(result.n), f"{part} UAR": number(result.uar), f"{part} WAR": number(result.war)}


def _spread(mean: float, deviation: float | None) -> str:
    """With the paper's three decimals."""
    return f"{mean:.3f}" if deviation is None else f"{mean:.3f} ± {deviation:.3f}"


def _csv(rows: Sequence[dict[str, object]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
