"""What the encoder hears of each clip, and, for a head alone, what a frozen encoder makes of it."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn
from transformers import WhisperFeatureExtractor

from core.corpora.clip import Clip
from core.models.info import EncoderShape
from core.training.recipe import Recipe
from core.training.rows import read_or_make_rows


def log_mel(
    folder: Path,
    clips: Sequence[Clip],
    shape: EncoderShape,
    extractor: WhisperFeatureExtractor,
    samples_of: Callable[[Clip], Float32[np.ndarray, " _"]],
    progress: Callable[[int], None] = lambda done: None,
) -> Float32[np.ndarray, "clips mels frames"]:
    """Log-mel features of each clip's first window, from `folder` where they were made before."""

    def make(first: int, last: int) -> np.ndarray:
        sounds = [samples_of(clip)[: shape.window_samples] for clip in clips[first:last]]
        made = extractor(sounds, sampling_rate=shape.sampling_rate, return_tensors="np")["input_features"]
        return np.asarray(made, dtype=np.float32)

    size = (len(clips), shape.mel_bins, shape.mel_frames)
    path = folder / f"mel-{_name(extractor.to_dict(), [clip.clip_id for clip in clips])}.npy"
    return read_or_make_rows(path, size, make, progress)


def frozen_means(
    folder: Path,
    features: Float32[np.ndarray, "clips mels frames"],
    ids: Sequence[str],
    encoder: nn.Module,
    about: str,
    recipe: Recipe,
    progress: Callable[[int], None] = lambda done: None,
) -> Float32[np.ndarray, "clips d"]:
    """Mean over all frames of a frozen encoder's output. `about` names encoder and precision, `ids` the clips."""
    device = next(encoder.parameters()).device
    dtype = getattr(torch, recipe.dtype)

    @torch.inference_mode()
    def make(first: int, last: int) -> np.ndarray:
        parts = []
        for start in range(first, last, recipe.batch_size):
            part = torch.from_numpy(np.array(features[start : min(start + recipe.batch_size, last)])).to(device)
            with torch.autocast(device.type, dtype, enabled=dtype is not torch.float32):
                states = encoder(part).last_hidden_state
            parts.append(states.float().mean(dim=1).cpu().numpy())
        return np.concatenate(parts)

    encoder.eval()
    width = int(encoder.config.d_model)  # type: ignore[arg-type,union-attr]  # a WhisperEncoder
    return read_or_make_rows(folder / f"means-{_name(about, list(ids))}.npy", (len(ids), width), make, progress)


def _name(about: object, ids: list[str]) -> str:
    return hashlib.sha256(json.dumps([about, ids], sort_keys=True, default=str).encode()).hexdigest()[:24]
