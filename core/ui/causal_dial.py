"""The LoRA dial: one clip live, each layer's update turned between off and one and a half times as trained."""

import time
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from core.analyses import contributions, lens
from core.analyses.request import AnalysisRequest
from core.analyses.stored import StoredRecords
from core.analyses.table import csv_text
from core.analyses.tidy import Table
from core.corpora.clip import Clip
from core.corpora.select import choose
from core.corpora.source import UPLOADS
from core.engine.interface import Pass
from core.engine.interventions import DialPass
from core.errors import Refusal
from core.figures import clip as clip_figures
from core.figures import contributions as contribution_figures
from core.figures.drawing import Drawing
from core.figures.layout import number
from core.figures.lens.charts import NOTES
from core.figures.view import View
from core.interventions import Dial
from core.models.info import ModelInfo, Role
from core.store.forward import ForwardRecord
from core.ui import causal_strip, context, links, status, viewport
from core.ui.answers import answer
from core.ui.charts import Chart, Reproduce, show
from core.ui.clip_states import say_failures
from core.ui.clip_views import Read, read
from core.ui.clips import resolve
from core.ui.corpus import as_chart
from core.ui.jobs import Answer, Asked
from core.ui.keys import CARRIED, Key
from core.ui.selection import Selection

_POLL_S = 0.1
_PATIENCE_S = 2.0  # a turn that comes within it needs no second run; what was drawn before stays on the screen
_LOOK_S, _SAY_S = 0.01, 0.1
_TURNS = ":material/hourglass_top: The dial turns …"
_LAST = "dial_last"  # in the session: what was asked for last,
_DRAWN = "dial_drawn"  # and what was drawn last
_PANEL = 230  # pixels
_NO_COMMAND = "The command line has no dial: this address brings the same one back."


def draw(selection: Selection, keys: Sequence[Key]) -> None:
    """The dial over the clip chosen alone, or else the first of the sidebar's; ends the page where there is none."""
    try:
        clip = _clip(selection)
    except Refusal as error:
        st.error(str(error))
        clip = None
    else:
        if clip is None:
            st.info("There is no clip yet: upload or record one on the Clip page, or take the demo's clips.")
    status.draw()
    if clip is None:
        st.stop()
    chosen = "chosen alone" if selection.clips.clip else "the first of these clips; choose another one in the sidebar"
    known = [fact for fact in (clip.label, clip.speaker) if fact]
    shape = selection.models[0].shape
    if clip.n_samples > shape.window_samples:
        known.append(f"its first {number(shape.window_samples / shape.sampling_rate)} s")
    st.caption(f"**{clip.name}** ({', '.join([*known, chosen])}) · **{selection.variant}** variant")
    _dial(selection, clip, keys)


def _clip(selection: Selection) -> Clip | None:
    chosen = selection.clips
    if chosen.clip is not None:
        return resolve(chosen.source, chosen.clip, selection.models, 0.0).clip
    if chosen.source == UPLOADS:
        return next(iter(context.uploads().clips()), None)
    listed = choose(context.listing(chosen.source).clips, chosen.slice)
    return context.identified(listed[0]) if listed else None


@st.fragment  # a slider runs this part of the page alone
def _dial(selection: Selection, clip: Clip, keys: Sequence[Key]) -> None:
    model = selection.models[0]
    dial = causal_strip.draw(model)
    task, turned = Pass.over(model, clip), DialPass.over(model, clip, 0, dial)
    with st.container(key="answer"):
        place = st.empty()
    answers = _ask((task, turned), clip.name, place)
    if any(one.waiting for one in answers):
        st.fragment(_follow, run_every=_POLL_S)((task, turned), answers)
    shown, stands = _shown(turned, answers[1])
    reads = [read(task, answers[0], selection.variant, selection.frames)]
    reads.append(_renamed(read(shown, stands, selection.variant, selection.frames)))
    ready = [one.view for one in reads if not one.view.note]
    words = answer(ready, model.name, clip.label) + [_TURNS] * answers[1].waiting
    place.markdown("  \n".join(words))
    say_failures([replace(one, answer=stands) for one, stands in zip(reads, answers, strict=True)])
    again = Reproduce(links.address(links.CAUSAL, (*keys, *CARRIED)), "", _NO_COMMAND)
    _charts(selection, reads, clip, shown.dial, again)


def _ask(tasks: tuple[Pass, DialPass], title: str, place: st.delta_generator.DeltaGenerator) -> list[Answer]:
    """How both stand. Where there are curves on the screen it waits a moment for the next ones, and says so in `place`;
    a turn that somebody turned away from is dropped."""
    desk, last = context.desk(), st.session_state.get(_LAST)
    if last not in (None, tasks[1]):
        desk.withdraw(last)
    st.session_state[_LAST] = tasks[1]
    answers = [desk.ask([task], title)[0] for task in tasks]
    begun = said = time.monotonic()
    patience = _PATIENCE_S if _before(tasks[1]) else 0.0
    while any(one.waiting for one in answers) and time.monotonic() - begun < patience:
        if time.monotonic() - said > _SAY_S:
            said = time.monotonic()
            place.markdown(_TURNS)  # where the slider has moved on meanwhile, Streamlit goes on with that from here
        time.sleep(_LOOK_S)
        answers = desk.look(tasks)
    return answers


def _follow(tasks: Sequence[Asked], drawn: list[Answer]) -> None:
    """Runs the page again when one of them came."""
    if [context.desk().ask([task], task.clip.name)[0] for task in tasks] != drawn:
        st.rerun()


def _before(turned: DialPass) -> DialPass | None:
    """The dial that was drawn last for this model and clip, as long as its record is there."""
    last: DialPass | None = st.session_state.get(_DRAWN)
    if last is None or (last.model, last.clip) != (turned.model, turned.clip):
        return None
    return last if context.store().has(last.keys(context.engine().precision)[0]) else None


def _shown(turned: DialPass, stands: Answer) -> tuple[DialPass, Answer]:
    """The dial that is drawn: while a new one is computed, the one before."""
    if stands.ready:
        st.session_state[_DRAWN] = turned
    elif stands.waiting and (before := _before(turned)):
        return before, Answer(ready=True)
    return turned, stands


def _renamed(one: Read) -> Read:
    """As a model of its own beside the trained one."""
    name = _dialled(one.model)
    return replace(one, view=replace(one.view, model=name.name, role=name.role))


def _dialled(model: ModelInfo) -> ModelInfo:
    """Drawn as what was never trained that way is: in the same colour, dashed, with open markers."""
    return replace(model, name=f"{model.name}, dialled", role=Role.UNTRAINED)


class _Records(StoredRecords):
    """Records in which the dialled model is a model of its own."""

    def __init__(self, dialled: ModelInfo, dial: Dial) -> None:
        super().__init__(context.store(), context.engine().precision)
        self._dialled, self._dial = dialled, dial

    def forward(self, model: ModelInfo, clip: Clip) -> ForwardRecord | None:
        """One clip under the model as it is, or as dialled."""
        return self.dialled(model, clip, self._dial) if model == self._dialled else super().forward(model, clip)


def _charts(selection: Selection, reads: Sequence[Read], clip: Clip, dial: Dial, again: Reproduce) -> None:
    """The trained and the dialled model side by side; without data as long as there are none."""
    model, narrow = selection.models[0], viewport.narrow()
    dialled, views = _dialled(model), [one.view for one in reads]
    models = (model, dialled)
    request = AnalysisRequest(models, (clip,), model.name, selection.variant, selection.frames)
    records = _Records(dialled, dial)
    stem = f"dial-{model.name}-{selection.variant}".replace(" ", "-").replace("=", "")

    def chart(key: Key, name: str, figure) -> Chart:  # type: ignore[no-untyped-def]  # a Plotly figure
        ready = [view for view in views if not view.note]
        return Chart(
            key=key,
            figure=figure,
            alt=getattr(clip_figures, f"{name}_alt")(ready) if ready else "Not known yet.",
            how_to_read=clip_figures.HOW_TO_READ[name],
            formula=clip_figures.FORMULA[name][selection.variant],
            formula_note=NOTES[selection.variant],
            table=lambda: getattr(clip_figures, f"{name}_table")(ready),
            csv=lambda: csv_text(lens.compute(records, request).rows()),
            filename=stem,
            reproduce=again,
        )

    left, right = st.columns([2, 1], gap="large")
    with right:  # first: the browser draws each chart as it comes, and this one is looked at first
        figure = clip_figures.final_probabilities(views, label=clip.label, stacked=True)
        show(chart(Key.DIAL_FINAL, "final_probabilities", figure))
    with left:
        figure = clip_figures.trajectories(views, stacked=narrow, label=clip.label, panel=_PANEL)
        show(chart(Key.DIAL_LENS, "trajectories", figure))
    st.subheader("What do the layers write then?", anchor=False)
    tables = {}
    if not any(view.note for view in views):
        result = contributions.compute(records, request)
        tables = {"": {"contributions": Table.of(result.rows(), result.notes)}}
    view = View(models, model, selection.variant, selection.frames, tables, (clip,), 1, narrow=narrow)
    drawing: Drawing = contribution_figures.main(view, "relative")
    show(as_chart(Key.DIAL_WRITE, drawing, stem, again))
