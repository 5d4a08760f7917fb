"""What every page about many clips does: ask its question, say how that stands, and show charts of what is known."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st

from core.analyses.request import AnalysisRequest
from core.corpora.select import choose
from core.corpora.source import UPLOADS
from core.errors import Refusal
from core.figures.drawing import Drawing
from core.figures.view import View
from core.models.describe import Models
from core.studies.study import Question, Snapshot, State, Study
from core.ui import context, cursor, links, status, viewport
from core.ui.charts import Chart, Lasso, Pick, Reproduce, show
from core.ui.clip_states import nothing_chosen, weighted_note
from core.ui.clips import resolve
from core.ui.keys import Key
from core.ui.reproduce import reproduce
from core.ui.selection import Selection
from core.ui.study_states import say_end, say_more, say_progress, scope


@dataclass(frozen=True)
class Corpus:
    """A page's study as it stands, and what its charts are given. `keys` are the page's own widgets in the address."""

    page: str
    keys: tuple[Key, ...]
    selection: Selection
    study: Study
    view: View

    def answer(self, text: str) -> None:
        """The answer, in a place that is there before it is known."""
        with st.container(key="answer"):
            if text:
                st.markdown(text)
            elif self.view.done:
                st.markdown("There is no answer: too little to compare, or undefined numbers (notes at the foot).")
            elif self.study.now.active:
                st.markdown("The models are listening …")
            else:
                st.markdown("There is no answer yet.")

    def show(
        self, key: Key, analysis: str, drawing: Drawing, on_pick: Pick | None = None, on_lasso: Lasso | None = None
    ) -> None:
        """A chart with its quiet row; `on_pick` and `on_lasso` as in core/ui/charts.py."""
        stem = f"{key}-{self.selection.clips.source.split(':')[0]}-{self.selection.variant}"
        again = reproduce(
            self.page, self.keys, analysis, self.selection, self.view.clips, request=self.study.question.request
        )
        show(as_chart(key, drawing, stem, again), on_pick, on_lasso)

    def also(self, names: Sequence[str], **changes: object) -> "Corpus":
        """A further question about the same clips, for a part of the page that somebody opened: other analyses, with
        `changes` to what the sidebar says."""
        selection = replace(self.selection, **changes)  # type: ignore[arg-type]
        question = _question(selection, tuple(names))
        assert question is not None  # the page's own question was one
        link = links.Link(self.page, links.carried() | links.parameters(self.keys))
        study = context.board().ask(question, f"{', '.join(names)}: {question.size} clips", link)
        now = study.look()
        view = _view(selection, question, now)
        say_more(study, now, view)
        return replace(self, selection=selection, study=study, view=view)

    def notes(self) -> None:
        """At the foot of the page: what is undefined or left out, and why. Links the charts above it."""
        cursor.link()
        found: dict[str, None] = {}
        for group, tables in self.view.tables.items():
            for table in tables.values():
                found |= dict.fromkeys(
                    f"**{note.about}**{f' ({group})' if group else ''}: {note.reason}" for note in table.notes
                )
        if found and self.view.done:
            with st.expander(f"Notes ({len(found)})"):
                st.markdown("\n".join(f"- {note}" for note in found))


def ask(
    known: Models,
    selection: Selection,
    page: str,
    title: str,
    names: Sequence[str],
    keys: Sequence[Key] = (),
    **more: object,
) -> Corpus:
    """Ask for analyses of what the sidebar says; `more` sets what else there is to a request. Ends the page with what
    to do where there is nothing to ask."""
    if not selection.models or selection.reference is None:
        nothing_chosen(known, selection)
        status.stop()
    try:
        question = _question(selection, tuple(names), **more)
    except Refusal as error:
        st.error(str(error))
        status.stop()
    if question is None:
        st.info("Nothing was uploaded or recorded yet: do that on the Clip page, or take the demo's clips.")
        st.page_link(links.CLIP, label="To the Clip page", icon=":material/graphic_eq:", query_params=links.carried())
        status.stop()
    count = len(selection.models)
    what = f"{title}: {count} model{'' if count == 1 else 's'} × {question.size} clips"
    link = links.Link(page, links.carried() | links.parameters(keys))
    study = context.board().ask(question, what, link)
    now = study.look()
    status.draw(lambda: study.look().version, now.version, waiting=now.active)
    view = _view(selection, question, now)
    # in one line, so that nothing moves when the work ends
    with st.container(key="scope", horizontal=True, vertical_alignment="center"):
        st.caption(scope(selection, view, question.request.span), width="content")
        say_progress(study, now, view)
    say_end(study, now)
    if note := weighted_note(selection.models):
        st.caption(note)
    return Corpus(page, tuple(keys), selection, study, view)


def _view(selection: Selection, question: Question, now: Snapshot) -> View:
    assert selection.reference is not None
    return View(
        selection.models,
        selection.reference,
        selection.variant,
        selection.frames,
        now.tables,
        now.clips,
        question.size,
        question.by,
        viewport.narrow(),
        now.state is State.DONE,
    )


def _question(selection: Selection, names: tuple[str, ...], **more: object) -> Question | None:
    """None where the source has no clips yet. Raises Refusal."""
    assert selection.reference is not None
    chosen = selection.clips
    request = AnalysisRequest(
        selection.models, (), selection.reference.name, selection.variant, selection.frames, chosen.seed
    )
    request = replace(request, **more)  # type: ignore[arg-type]
    if chosen.clip is not None:
        clip = resolve(chosen.source, chosen.clip, selection.models, 0.0).clip
        return Question(names, replace(request, clips=(clip,)))
    if chosen.source == UPLOADS:
        clips = tuple(context.uploads().clips()[: chosen.limit])
        return Question(names, replace(request, clips=clips)) if clips else None
    listed = tuple(choose(context.listing(chosen.source).clips, chosen.slice))
    return Question(names, request, listed, context.stamp(listed), chosen.by)


def as_chart(key: Key, drawing: Drawing, stem: str, again: Reproduce) -> Chart:
    """A drawing with its quiet row; `stem` is what its files are called."""
    return Chart(
        key=key,
        figure=drawing.figure,
        alt=drawing.alt,
        how_to_read=drawing.how_to_read,
        formula=drawing.formula,
        formula_note=drawing.formula_note,
        table=lambda: _rows(drawing),
        csv=drawing.csv,
        filename=stem,
        reproduce=again,
    )


def _rows(drawing: Drawing) -> list[dict[str, object]]:
    """The rows as a table, without the columns that are empty or the same in all of them."""
    rows = [
        {"group": group} | {name: getattr(row, name) for name in _SHOWN}
        for group, table in drawing.numbers.items()
        for row in table.rows()
    ]
    kept = [name for name in ("group", *_SHOWN) if any(row[name] not in (None, "") for row in rows)]
    return [{name: row[name] for name in kept} for row in rows]


_SHOWN = ("model", "versus", "layer", "module", "component", "statistic", "value", "ci_low", "ci_high", "n")
