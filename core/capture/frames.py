"""Per-frame statistics of one layer, on the device, so that residual-width activations never leave it.

Products are float32 (TF32 off), sums over frames float64. Shapes: B clips, T frames, width d, C classes.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from core.models.head import Head

_RELATIVE_FLOOR = 1e-6  # of ||h|| in the relative contribution
_COSINE_FLOOR = 1e-8  # of ||c|| ||h|| in the cosine
_BLOCK_FRAMES = 256  # summed in float32 before float64 takes over
_BLOCK_BYTES = 4 << 20  # of activations worked on at a time on a CPU


def frame_weights(audio_frames: list[int], frames: int, device: torch.device) -> Float64[Tensor, "clips 2 frames"]:
    """Weights whose product with per-frame values is their mean over all frames and over those that hold audio."""
    position = torch.arange(frames, device=device)
    count = torch.tensor(audio_frames, device=device)
    audio: Bool[Tensor, "clips frames"] = position < count[:, None]
    everywhere = torch.full_like(audio, 1 / frames, dtype=torch.float64)
    return torch.stack([everywhere, audio.double() / count[:, None]], dim=1)


@dataclass(frozen=True)
class PointReader:
    """Everything that is kept of the residual stream at one point; made once for a model.

    `matrix` stacks the head map W, W diag(g) and a row of ones, so one product gives the raw lens, the normalised
    lens up to its mean and scale, and that mean: LayerNorm(h) W^T = ((h - mean) / sd) (g W)^T + W b.
    """

    matrix: Float[Tensor, "rows width"]
    bias: Float64[Tensor, " classes"]
    normed_sum: Float64[Tensor, " classes"]
    normed_bias: Float64[Tensor, " classes"]
    gain: Float64[Tensor, " width"]
    shift: Float64[Tensor, " width"]
    eps: float

    @classmethod
    def of(cls, head: Head, norm: torch.nn.LayerNorm) -> "PointReader":
        weight, bias = head.composed()
        gain, shift = norm.weight.double(), norm.bias.double()
        scaled = weight * gain
        matrix = torch.cat([weight, scaled, torch.ones_like(gain)[None]]).float()
        return cls(matrix, bias, scaled.sum(1), weight @ shift + bias, gain, shift, norm.eps)

    def __call__(
        self,
        states: Float[Tensor, "clips frames width"],
        squares: Float64[Tensor, "clips frames"],
        weights: Float64[Tensor, "clips 2 frames"],
    ) -> dict[str, Tensor]:
        """Norms, means and per-frame lens logits at one point; `squares` is ||h||^2 of each frame."""
        classes, width = self.bias.numel(), states.shape[-1]
        read = (states @ self.matrix.T).double()
        mean = read[..., -1] / width
        scale = (squares / width - mean**2).clamp_min(0).add(self.eps).rsqrt()
        raw, normed = read[..., :classes], read[..., classes : 2 * classes]
        sums = sum_frames(torch.cat([weights, weights * scale[:, None]], dim=1), states)
        offset = (weights @ (scale * mean)[..., None]).squeeze(-1)
        return {
            "residual_norm": (weights @ squares.sqrt()[..., None]).squeeze(-1),
            "mean_raw": sums[:, :2],
            "mean_normed": (sums[:, 2:] - offset[..., None]) * self.gain + self.shift,
            "lens_raw": raw + self.bias,
            "lens_normed": (normed - mean[..., None] * self.normed_sum) * scale[..., None] + self.normed_bias,
        }


def sum_frames(
    weights: Float64[Tensor, "clips k frames"], states: Float[Tensor, "clips frames width"]
) -> Float64[Tensor, "clips k width"]:
    """Weighted sums over frames."""
    total = torch.zeros(*weights.shape[:2], states.shape[-1], dtype=torch.float64, device=states.device)
    light = weights.float()
    for start in range(0, states.shape[1], _BLOCK_FRAMES):
        block = slice(start, start + _BLOCK_FRAMES)
        total += light[..., block] @ states[:, block]
    return total


def contributions(
    states: Float[Tensor, "clips frames width"],
    attention: Float[Tensor, "clips frames width"],
    mlp: Float[Tensor, "clips frames width"],
    weights: Float64[Tensor, "clips 2 frames"],
) -> tuple[dict[str, Tensor], Float64[Tensor, "clips frames"]]:
    """Relative contribution and cosine of attention, MLP and their sum (clips x 2 x 3), and ||h||^2 of each frame."""
    gram = _inner_products(states, attention, mlp).double()
    squares = gram.diagonal(dim1=-2, dim2=-1)
    norms = squares.sqrt()
    residual, components = norms[..., :1], norms[..., 1:]
    relative = components / residual.clamp_min(_RELATIVE_FLOOR)
    cosine = gram[..., 1:, 0] / (components * residual).clamp_min(_COSINE_FLOOR)
    means = {"relative": weights @ relative, "cosine": weights @ cosine}
    return means, squares[..., 0]


def _inner_products(
    states: Float[Tensor, "clips frames width"],
    attention: Float[Tensor, "clips frames width"],
    mlp: Float[Tensor, "clips frames width"],
) -> Float[Tensor, "clips frames 4 4"]:
    """All inner products of h, a, m and a + m at each frame: one small product a frame, one pass over the activations.

    In blocks that stay in the CPU's cache (six times faster there than all at once); a GPU takes it in one.
    """
    clips, frames, width = states.shape
    h, a, m = (part.reshape(-1, width) for part in (states, attention, mlp))
    rows = clips * frames if h.is_cuda else min(clips * frames, max(1, _BLOCK_BYTES // (4 * width * h.element_size())))
    products = h.new_empty(clips * frames, 4, 4)
    stack = h.new_empty(rows, 4, width)
    for start in range(0, clips * frames, rows):
        block = slice(start, min(start + rows, clips * frames))
        four = stack[: block.stop - start]
        four[:, 0], four[:, 1], four[:, 2] = h[block], a[block], m[block]
        torch.add(a[block], m[block], out=four[:, 3])
        torch.bmm(four, four.transpose(1, 2), out=products[block])
    return products.view(clips, frames, 4, 4)


def gram_a(
    activations: Float[Tensor, "clips frames rank"], audio_frames: list[int]
) -> Float64[Tensor, "clips 2 rank rank"]:
    """X_A^T X_A over all frames and over those that hold audio, in float64."""
    wide = activations.double()
    everywhere = wide.transpose(1, 2) @ wide
    audio = torch.stack([clip[:count].T @ clip[:count] for clip, count in zip(wide, audio_frames, strict=True)])
    return torch.stack([everywhere, audio], dim=1)
