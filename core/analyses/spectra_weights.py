"""Spectra of adapters' weights; no clip is needed (Hu et al. 2021, section 7; Shuttleworth et al. 2024)."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from core.analyses.spectra_result import Subspace, WeightSpectra
from core.analyses.spectrum import statistics, subspace_similarity
from core.models.info import ModelInfo
from core.store.model import ModelRecord

INTRUDER_BELOW = 0.5  # largest |cosine| with any of W's directions


def weight_spectra(model: ModelInfo, record: ModelRecord) -> WeightSpectra:
    """Of each of the model's modules."""
    modules = [record.modules[module.name] for module in model.lora]
    values = {
        "dW": tuple(one.s_dw for one in modules),
        "W": tuple(one.s_w for one in modules),
        "W+dW": tuple(one.s_wdw for one in modules),
    }
    return WeightSpectra(
        values=values,
        scalars={name: np.stack([statistics(one) for one in each]) for name, each in values.items()},
        overlap_left=tuple(one.overlap_u for one in modules),
        overlap_right=tuple(one.overlap_v for one in modules),
        intruders=np.array([int((one.cos_intruder < INTRUDER_BELOW).sum()) for one in modules]),
    )


def subspaces(models: Sequence[ModelInfo], records: Mapping[str, ModelRecord]) -> Iterator[Subspace]:
    """Each pair of adapters over one base, for each module that both adapt."""
    for mine, theirs in combinations(models, 2):
        if mine.base_fingerprint != theirs.base_fingerprint:
            continue
        left, right = records[mine.name].modules, records[theirs.name].modules
        for module in mine.lora:
            if module.name in right and left[module.name].s_dw[0] > 0 and right[module.name].s_dw[0] > 0:
                phi = subspace_similarity(left[module.name].v_dw, right[module.name].v_dw)
                yield Subspace(mine.name, theirs.name, module, phi)
