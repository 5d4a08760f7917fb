"""A model's adapter and head as arrays, and what its update does to the weights it is added to; no clip needed."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from core import encoder
from core.models.loading import LoadedModel
from core.store.model import ModelRecord, WeightsRecord

TOP = 10  # left singular vectors of W + dW looked at for intruders (Shuttleworth et al. 2024)


def capture_weights(model: LoadedModel) -> ModelRecord:
    """The model's record. Decompositions are float64 on the model's device."""
    layers = model.base.backbone.encoder.layers
    modules = {}
    with torch.inference_mode():
        for module in model.info.lora:
            adapted = encoder.adapted_module(layers[module.layer], module.target)
            name = model.adapter or ""
            a, b = adapted.lora_A[name].weight, adapted.lora_B[name].weight
            # PEFT's own scaling: rsLoRA and alpha patterns are in it
            modules[module.name] = compare_weights(
                adapted.base_layer.weight.double(), a.double(), b.double(), float(adapted.scaling[name])
            )
        weight, bias = model.head.composed()
    return ModelRecord(modules, weight.cpu().numpy(), bias.cpu().numpy())


def compare_weights(w: Tensor, a: Tensor, b: Tensor, scaling: float) -> WeightsRecord:
    """Spectra of W (outputs x inputs), dW = scaling B A and W + dW, and how their singular vectors lie."""
    u_w, s_w = left_svd(w)
    u_sum, s_sum = left_svd(w + scaling * (b @ a))
    u_dw, s_dw, vt_dw = low_rank_svd(a, b, scaling)
    rank = len(s_dw)
    vt_w = normalize(u_w[:, :rank].T @ w, dim=1)
    return WeightsRecord(
        a=_plain(a).astype(np.float32),
        b=_plain(b).astype(np.float32),
        scaling=scaling,
        s_w=_plain(s_w),
        s_wdw=_plain(s_sum),
        s_dw=_plain(s_dw),
        v_dw=_plain(vt_dw).astype(np.float32),
        cos_intruder=_plain((u_w.T @ u_sum[:, :TOP]).abs().amax(dim=0)),
        overlap_u=_shares(u_w[:, :rank].T @ u_dw),
        overlap_v=_shares(vt_w @ vt_dw.T),
    )


def left_svd(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Left singular vectors (as columns) and singular values, largest first, from the Gram of the shorter side.

    Half the time of a whole decomposition. What rounding costs, 1e-8 of the largest value, is less than a float32
    weight's own.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    squares, vectors = torch.linalg.eigh(matrix.T @ matrix if tall else matrix @ matrix.T)
    values, vectors = squares.clamp_min(0).sqrt().flip(0), vectors.flip(1)
    return (normalize(matrix @ vectors, dim=0) if tall else vectors), values


def low_rank_svd(a: Tensor, b: Tensor, scaling: float) -> tuple[Tensor, Tensor, Tensor]:
    """SVD of scaling B A from factors no larger than the rank: B = Q_b R_b, A^T = Q_a R_a, R_b R_a^T decomposed."""
    q_b, r_b = torch.linalg.qr(b)
    q_a, r_a = torch.linalg.qr(a.T)
    u, s, vt = torch.linalg.svd(scaling * (r_b @ r_a.T), full_matrices=False)
    return q_b @ u, s, vt @ q_a.T


def _shares(products: Tensor) -> np.ndarray:
    """||first k rows and columns||_F^2 / k of the inner products, for each k."""
    blocks = (products**2).cumsum(0).cumsum(1).diagonal()
    return _plain(blocks / torch.arange(1, len(blocks) + 1, dtype=blocks.dtype, device=blocks.device))


def _plain(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
