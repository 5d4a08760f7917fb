"""Sums over a set of clips of what is too wide to keep of each: Grams of G_B, and G_B itself on disk for kernels."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from core.capture.gradients import Take
from core.models.loading import LoadedModel
from core.store.lora import Scaled
from core.store.partial import SPILL_SPAN, DamagedSpill, Partial, RowShape
from core.store.sets import SetRecord

_BLOCKS = 4  # of a Gram's columns
_SAME = 1e-4  # relative: a clip's squared norm from its gradient on disk against the one it had


def _add_gram(total: Float64[Tensor, "width width"], rows: Float64[Tensor, "frames width"]) -> None:
    """Add rows^T rows, on and above the diagonal only: five eighths of the products."""
    step = -(-rows.shape[1] // _BLOCKS)
    for start in range(0, rows.shape[1], step):
        block = slice(start, start + step)
        total[block, start:].addmm_(rows[:, block].T, rows[:, start:])


class SetSums:
    """Takes gradients batch by batch, in any order; clips are numbered from 0 to `count` - 1.

    Sums are float64 on the device, apart for frames that hold audio and for padding, so their number of products is
    that of one Gram. With `kernels`, gradients go to disk as they arrive, so memory does not grow with the clips.
    """

    def __init__(self, model: LoadedModel, count: int, partial: Partial, *, kernels: bool) -> None:
        device = model.base.backbone.encoder.conv1.weight.device
        self._partial = partial
        self._kernels = kernels
        self._shapes = {module.name: RowShape(model.info.shape.frames, module.outputs) for module in model.info.lora}
        self._grams = {
            name: torch.zeros(2, shape.width, shape.width, dtype=torch.float64, device=device)
            for name, shape in self._shapes.items()
        }
        self._squares = {name: np.zeros(count) for name in self._shapes}
        self._audio_frames = np.zeros(count, dtype=np.int64)
        self._made: dict[str, Float64[np.ndarray, "rows rows"]] = {}
        self.done = np.zeros(count, dtype=bool)

    def take(self, rows: list[int], audio_frames: list[int]) -> Take:
        """What a batch's gradients are given to; the sums hold part of the batch until it returns for good."""

        def add(module: str, g_b: Float32[Tensor, "clips frames outputs"]) -> None:
            audio, padding = self._grams[module]
            self._audio_frames[rows] = audio_frames
            for i, (row, count) in enumerate(zip(rows, audio_frames, strict=True)):
                wide = g_b[i].double()
                _add_gram(audio, wide[:count])
                _add_gram(padding, wide[count:])
                self._squares[module][row] = float(torch.linalg.vector_norm(wide) ** 2)
            if self._kernels:
                peak = g_b.abs().amax(dim=-1)
                scales = torch.where(peak > 0, peak / SPILL_SPAN, 1.0)
                entries = (g_b / scales[..., None]).round_().to(torch.int16).cpu().numpy()
                for row, scale, values in zip(rows, scales.cpu().numpy(), entries, strict=True):
                    self._partial.write_row(module, row, scale, values)

        return add

    def save(self) -> None:
        """A checkpoint: what is done so far survives this process."""
        state = {"done": self.done, "audio_frames": self._audio_frames}
        state |= {f"gram.{name}": gram.cpu().numpy() for name, gram in self._grams.items()}
        state |= {f"squares.{name}": squares for name, squares in self._squares.items()}
        self._partial.save(state)

    def restore(self) -> None:
        """Back to the last checkpoint, or to nothing."""
        state = self._partial.load() or {}
        self.done = state.get("done", np.zeros_like(self.done))
        self._audio_frames = state.get("audio_frames", np.zeros_like(self._audio_frames))
        for name, gram in self._grams.items():
            saved = state.get(f"gram.{name}")
            gram.copy_(torch.from_numpy(saved) if saved is not None else torch.zeros_like(gram))
            self._squares[name] = state.get(f"squares.{name}", np.zeros(len(self.done)))

    def forget(self) -> None:
        """Back to nothing."""
        self._partial.forget()
        self._made = {}
        self.restore()

    def make_kernel(self) -> bool:
        """Make the next module's kernel; False where there is none left to make. Raises DamagedSpill."""
        left = [name for name in self._shapes if name not in self._made] if self._kernels else []
        if not left:
            return False
        rows = np.flatnonzero(self.done)
        kernel = self._partial.kernel(left[0], rows.tolist(), self._shapes[left[0]])
        squares = self._squares[left[0]][rows]
        if (np.abs(np.diag(kernel) - squares) > _SAME * squares).any():
            raise DamagedSpill(f"gradients of {left[0]} changed on disk")
        self._made[left[0]] = kernel
        return True

    def record(self) -> Mapping[str, np.ndarray]:
        """The set's record, of the clips that are done."""
        packed = {}
        for name, gram in self._grams.items():
            audio, padding = gram.cpu().numpy()
            upper = np.triu_indices(len(audio))
            packed[name] = np.stack([(audio + padding)[upper], audio[upper]])
        return SetRecord(int(self.done.sum()), packed, self._made, self._alone()).to_arrays()

    def _alone(self) -> dict[str, Scaled]:
        """G_B of the audio frames where there is one clip only: its frames are then what is compared."""
        if not self._kernels or self.done.sum() != 1:
            return {}
        (row,) = np.flatnonzero(self.done).tolist()
        count = int(self._audio_frames[row])
        return {name: Scaled.of(self._partial.row(name, row, s)[:count]) for name, s in self._shapes.items()}
