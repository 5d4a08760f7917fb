"""What adapters' A gives of each clip, standardised over clips, however wide: rows whose distances are exact."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from core.analyses.kernels import flattened_kernels
from core.analyses.reading import distinct
from core.analyses.request import AnalysisRequest, Records
from core.corpora.clip import Clip
from core.errors import Refusal
from core.models.info import ModelInfo
from core.store.forward import FRAMES
from core.store.lora import LoraRecord

_ROUNDING = 1e-10  # of the largest eigenvalue: what is below it is 0

Points = dict[str, Float64[np.ndarray, "clips _"]]


def standardised(records: Records, request: AnalysisRequest, model: ModelInfo) -> tuple[tuple[Clip, ...], Points]:
    """Clips with a record in the order of their ids, and rows by module: every feature with mean 0 and variance 1
    over them (0 where it is constant).

    `corrected`: A's outputs averaged over the chosen frames, as they are. Else flattened over all frames, as
    coordinates in the space that the clips span (clips x at most clips), which keep every distance: memory grows with
    the square of clips, and with frames x rank for two numbers a feature and some blocks of clips only.
    """
    wanted = sorted(distinct(request.clips), key=lambda clip: clip.clip_id)
    chosen = FRAMES.index(request.frames)
    if request.variant == "corrected":
        read = ((clip, records.lora(model, clip)) for clip in wanted)
        means = [(clip, record.mean) for clip, record in read if record is not None]
        rows = {m.name: np.stack([mean[m.name][chosen] for _, mean in means]) for m in model.lora if means}
        return tuple(clip for clip, _ in means), {name: _scale(each.astype(np.float64)) for name, each in rows.items()}
    clips, moments = _moments(records, model, wanted)

    def read_one(i: int) -> dict[str, Float64[np.ndarray, "_ _"]]:
        record = records.lora(model, clips[i])
        if record is None:
            raise Refusal(
                f"The records of {clips[i].name} were evicted from the cache while they were needed: "
                "raise LORASCOPE_CACHE_MAX_GB."
            )
        return {name: _divide(record.x[name].values - mean, sd) for name, (mean, sd) in moments.items()}

    grams, _ = flattened_kernels(read_one, len(clips), {})
    return clips, {name: coordinates(gram) for name, gram in grams.items()}


def coordinates(gram: Float64[np.ndarray, "n n"]) -> Float64[np.ndarray, "n _"]:
    """Rows with these inner products, along their principal axes, largest first; at least one column. NaN stays NaN."""
    if not np.isfinite(gram).all():
        return np.full((len(gram), 1), np.nan)
    values, vectors = np.linalg.eigh(gram)
    kept = max(1, int((values > _ROUNDING * values[-1]).sum()))
    return (vectors * np.sqrt(np.maximum(values, 0.0)))[:, ::-1][:, :kept]


def _moments(
    records: Records, model: ModelInfo, wanted: Sequence[Clip]
) -> tuple[tuple[Clip, ...], Mapping[str, tuple[np.ndarray, np.ndarray]]]:
    """Clips that have a record; mean and standard deviation of every feature over them, by module."""
    clips: list[Clip] = []
    first: dict[str, np.ndarray] = {}
    sums: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for clip in wanted:
        record: LoraRecord | None = records.lora(model, clip)
        if record is None:
            continue
        clips.append(clip)
        for name, x in record.x.items():
            # from the first clip on: a constant feature then has exactly no variance
            values = x.values
            off = values - first.setdefault(name, values)
            total, squares = sums.setdefault(name, (np.zeros_like(off), np.zeros_like(off)))
            total += off
            squares += off**2
    n = len(clips)
    return tuple(clips), {
        name: (first[name] + total / n, np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0.0)))
        for name, (total, squares) in sums.items()
    }


def _scale(rows: Float64[np.ndarray, "n width"]) -> Float64[np.ndarray, "n width"]:
    off = rows - rows[:1]
    off -= off.mean(axis=0)
    return _divide(off, off.std(axis=0))


def _divide(off: Float64[np.ndarray, "n width"], sd: Float64[np.ndarray, "*n width"]) -> Float64[np.ndarray, "n width"]:
    """NaN stays NaN: only what is exactly constant becomes 0."""
    return np.divide(off, sd, out=np.zeros_like(off), where=sd != 0)
