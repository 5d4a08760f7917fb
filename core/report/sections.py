"""What the report shows of each analysis: the pages' answers and charts, as they stand when a page is opened first.

A new analysis has one function here, and one line in SECTIONS.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from core.analyses.request import AnalysisRequest
from core.figures import causal, contributions, lens, ranks, similarity, spectra
from core.figures.adapters import adapters, targets
from core.figures.drawing import Drawing
from core.figures.view import View
from core.figures.words import QUESTIONS
from core.models.info import ModelInfo


@dataclass(frozen=True, eq=False)
class Section:
    """A question with its answer and charts, each under a heading of its own or none. Answer and `quiet`, which is said
    last, are Markdown."""

    title: str
    question: str
    answer: str
    charts: Sequence[tuple[str, Drawing]]
    quiet: Sequence[str] = ()


def sections(names: Sequence[str], view: View, request: AnalysisRequest) -> list[Section]:
    """Of these analyses, whose tables `view` holds; those that have nothing to show are left out."""
    return [section for name in names if name in SECTIONS for section in SECTIONS[name](view, request)]


def _contributions(view: View, request: AnalysisRequest) -> Iterator[Section]:
    charts = [
        ("", contributions.main(view, "relative")),
        ("How large is the stream they write into?", contributions.norms(view)),
        ("What does the padding do?", contributions.padding(view, "relative")),
    ]
    yield Section("Contributions", QUESTIONS["contributions"], contributions.answer(view), charts)


def _lens(view: View, request: AnalysisRequest) -> Iterator[Section]:
    charts = [
        ("", lens.main(view)),
        ("Which class does it read where?", lens.trajectories(view)),
        ("Do the landmarks coincide?", lens.convergence(view)),
    ]
    quiet = (lens.coincide(view), lens.missing(view))
    yield Section("Lens", QUESTIONS["lens"], lens.answer(view), charts, quiet)


def _spectra(view: View, request: AnalysisRequest) -> Iterator[Section]:
    if not adapters(view):
        return
    charts = [
        ("", spectra.energy(view)),
        ("How many times fewer than before training?", spectra.efficiency(view)),
        ("How many directions does each module take?", spectra.distribution(view)),
        ("Where in depth?", spectra.heatmap(view, next(iter(spectra.MEASURES)))),
        ("What do the weights alone say?", spectra.weights(view, next(iter(spectra.LOOKS)))),
    ]
    quiet = (spectra.unlabelled(view), spectra.COMPARED)
    yield Section("Spectra", QUESTIONS["spectra"], spectra.answer(view), charts, quiet)


def _cka(view: View, request: AnalysisRequest) -> Iterator[Section]:
    estimator = next(iter(similarity.estimators(view.variant)))
    charts = []
    if found := adapters(view):
        series = next(iter(similarity.series(view.variant, "linear")))
        several = view.total > 1  # one clip alone has no null band
        charts.append(("", similarity.alignment(view, "linear", targets(found)[0], series, unrelated=several)))
    other = view.others[-1] if view.others else view.reference
    charts.append(("Which depths are alike?", similarity.heatmaps(view, view.reference, other, estimator)))
    if similarity.comparable(view):
        heading = f"How alike is each depth to the same depth of {view.reference.name}?"
        charts.append((heading, similarity.same_depth(view, estimator)))
    quiet = (
        similarity.caution(view),
        similarity.undefined_alignment(view, "linear"),
        similarity.undefined_layers(view, estimator),
    )
    yield Section("Similarity", QUESTIONS["cka"], similarity.answer(view), charts, quiet)


def _ranks(view: View, request: AnalysisRequest) -> Iterator[Section]:
    models = ranks.comparable(view.models)
    if not models:
        return
    own = replace(view, models=models, reference=models[0])
    target = targets(models)[0]
    charts = [("", ranks.maps(own, next(iter(ranks.MAPS)), target))]
    if ranks.emotions(own):
        charts.append(("What does more rank change?", ranks.separation(own, target)))
        if len(models) > 1:
            charts.append(("Does rank matter more for some emotions?", ranks.sensitivity(own)))
    quiet = (*ranks.verdicts(own, target), ranks.claim(own))
    yield Section("Ranks", QUESTIONS["ranks"], ranks.answer(own, target), charts, quiet)


def _causal(view: View, request: AnalysisRequest) -> Iterator[Section]:
    """A section for each model: what was done to it is told apart by colour, so no chart holds two."""
    for model in view.models:
        if not model.weighted_layer_sum:
            yield from _causes(replace(view, models=(model,), reference=model), request, model)


def _causes(view: View, request: AnalysisRequest, model: ModelInfo) -> Iterator[Section]:
    about = f"Causal: {model.name}"
    if "layers" in request.parts:
        erasure = ("What if a layer is skipped?", causal.erasure(view))
        if model.lora:
            charts = [
                ("", causal.layers(view)),
                ("How much of the rank does it need?", causal.truncation(view)),
                erasure,
            ]
            answers = f"{causal.answer_layers(view)}\n\n{causal.answer_erasure(view)}"
            yield Section(about, QUESTIONS["causal"], answers, charts)
        else:
            yield Section(about, "Which of its layers does the model need?", causal.answer_erasure(view), [erasure])
    if "patching" in request.parts and (model.lora or request.pairing != "dial"):
        charts = [
            (f"Copied between the two runs of a pair ({request.pairing})", _patching(view, request)),
            ("", causal.beside(view, next(iter(causal.MEASURES)))),
        ]
        yield Section(
            f"{about}, patching", QUESTIONS["causal"], causal.answer_patching(view), charts, causal.warnings(view)
        )


def _patching(view: View, request: AnalysisRequest) -> Drawing:
    return causal.patching(view, request.pairing, request.span)


SECTIONS: Mapping[str, Callable[[View, AnalysisRequest], Iterator[Section]]] = {
    "contributions": _contributions,
    "lens": _lens,
    "spectra": _spectra,
    "cka": _cka,
    "ranks": _ranks,
    "causal": _causal,
}
ALSO = {"lens": ("contributions",)}  # analyses that a section reads beside its own
