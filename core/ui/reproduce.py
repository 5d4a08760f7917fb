"""The command that computes what a page shows, and the address that shows it again."""

from collections.abc import Sequence

from core import commas, paths
from core.analyses.request import CAUSAL_PARTS, AnalysisRequest
from core.audio.waveform import SAMPLE_RATE
from core.corpora.clip import Clip
from core.corpora.select import write_where
from core.corpora.source import UPLOADS
from core.interventions import write_span
from core.settings import settings
from core.ui import context, links
from core.ui.charts import Reproduce
from core.ui.keys import Key
from core.ui.selection import Selection

Options = dict[str, str | Sequence[str] | None]
_NOT_KEPT = "The command line reads files: press “Keep this clip” on the Clip page first."


def reproduce(
    page: str,
    shown: Sequence[Key],
    analysis: str,
    selection: Selection,
    clips: Sequence[Clip],
    window_start: int = 0,
    request: AnalysisRequest | None = None,
) -> Reproduce:
    """For a page that shows these widgets' keys, and its clips as far as they are known; `request` says of the causal
    analysis what the sidebar does not."""
    view = links.address(page, (*shown, *links.CARRIED))
    if selection.reference is None:
        return Reproduce(view, "", "Choose a model first.")
    source = _source(selection, clips)
    if isinstance(source, str):
        return Reproduce(view, "", source)
    registry = settings().registry
    options: Options = {
        "models": commas.join(model.name for model in selection.models),
        "reference": selection.reference.name,
        **source,
        "by": selection.clips.by,
        "variant": selection.variant,
        "frames": selection.frames,
        "window": f"{window_start / SAMPLE_RATE:g}" if window_start else None,
        **(_causal(request) if request and analysis == "causal" else {}),
        "registry": str(registry) if registry != paths.DEFAULT_REGISTRY else None,
        "out": "out",
    }
    return Reproduce(view, links.command(analysis, options))


def _causal(request: AnalysisRequest) -> Options:
    return {
        "causal": ",".join(request.parts) if request.parts != CAUSAL_PARTS else None,
        "pairs": request.pairing if request.pairing != "dial" else None,
        "partner": request.partners[0].name if request.partners else None,
        "span": write_span(request.span) if request.span else None,
    }


def _source(selection: Selection, clips: Sequence[Clip]) -> Options | str:
    """The options that choose the clips; or the sentence why there are none."""
    chosen = selection.clips
    files = _uploads(clips) if chosen.source == UPLOADS else None
    if chosen.source == UPLOADS:
        return {"clips": files, "seed": _seed(chosen.seed)} if files else _NOT_KEPT
    where = dict(chosen.where)
    if chosen.clip is not None and clips:
        where = {"name": clips[0].name}
    return {
        "clips": chosen.source,
        "where": write_where(where) or None,
        "balanced": None if chosen.balanced is None else str(chosen.balanced),
        "limit": None if chosen.limit is None else str(chosen.limit),
        "seed": _seed(chosen.seed),
    }


def _seed(seed: int) -> str | None:
    return str(seed) if seed else None


def _uploads(clips: Sequence[Clip]) -> list[str] | None:
    """Files of the uploads; None where one was not kept, or none is known yet."""
    if not clips or not all(context.uploads().is_kept(clip.clip_id) for clip in clips):
        return None
    return [str(settings().cache_dir / "uploads" / f"{clip.clip_id}.wav") for clip in clips]
