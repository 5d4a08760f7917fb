"""Adapters made of random numbers: activations and gradients as plain arrays, and the records a pass makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from core.analyses.request import AnalysisRequest
from core.corpora.clip import Clip
from core.engine.interface import GradientPass, SetPass
from core.models.info import LoraModule, ModelFiles, ModelInfo, Role
from core.models.untrained import untrained_of
from core.store.gradient import GradientRecord
from core.store.lora import LoraRecord, Scaled
from core.store.model import ModelRecord, WeightsRecord
from core.store.sets import SetRecord
from core.store.states import StatesRecord
from tests.analyses.fabricate import Shelf, make_model, make_record

MODULES = (LoraModule(0, "v_proj", 5, 48, 48), LoraModule(1, "fc1", 4, 48, 60))


def make_adapter(folder: Path, name: str = "lora", modules: Sequence[LoraModule] = MODULES, **more) -> ModelInfo:
    """A model with LoRA over a base whose only file is there, but has no head."""
    base = folder / "model.safetensors"
    if not base.exists():
        save_file({"model.encoder.conv1.bias": np.zeros(1, np.float32)}, base)
    model = make_model(name, role=Role.LORA, **more)
    return replace(model, lora=tuple(modules), files=ModelFiles(config=folder / "config.json", encoder=(base,)))


@dataclass
class Adapters(Shelf):
    """Plain truth by (model, clip): X_A, G_B and the residual stream of every frame; by model: A and B.

    Clips in `broken` have no records; `targets` remembers which class each gradient was of.
    """

    x: dict[tuple[str, str], dict[str, np.ndarray]] = field(default_factory=dict)
    g_b: dict[tuple[str, str], dict[str, np.ndarray]] = field(default_factory=dict)
    h: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    a: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    b: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    broken: set[tuple[str, str]] = field(default_factory=set)
    targets: dict[tuple[str, str], int] = field(default_factory=dict)

    def forward(self, model, clip):
        return None if (model.name, clip.clip_id) in self.broken else super().forward(model, clip)

    def lora(self, model: ModelInfo, clip: Clip) -> LoraRecord | None:
        if (model.name, clip.clip_id) in self.broken:
            return None
        x, audio = self.x[model.name, clip.clip_id], self.records[model.name, clip.clip_id].audio_frames
        return LoraRecord({m: Scaled.of(one) for m, one in x.items()}, means(x, audio))

    def states(self, model: ModelInfo, clip: Clip) -> StatesRecord | None:
        audio = self.records[model.name, clip.clip_id].audio_frames
        return StatesRecord(tuple(Scaled.of(point[:audio]) for point in self.h[model.name, clip.clip_id]))

    def gradient(self, task: GradientPass) -> GradientRecord | None:
        key = task.model.name, task.clip.clip_id
        if key in self.broken:
            return None
        self.targets[key] = task.target
        audio, g_b = self.records[key].audio_frames, self.g_b[key]
        g_a = self.g_a(*key)

        def two(arrays, number):
            return {m: np.array([number(g), number(g[:audio])]) for m, g in arrays.items()}

        scaled = {m: Scaled.of(g) for m, g in g_a.items()}
        norms = two(g_a, np.linalg.norm), two(g_b, np.linalg.norm)
        return GradientRecord(1.0, audio, scaled, *norms, means(g_b, audio))

    def g_a(self, model: str, clip_id: str) -> dict[str, np.ndarray]:
        """G_A = G_B B."""
        return {m: g @ self.b[model][m] for m, g in self.g_b[model, clip_id].items()}

    def gradients(self, task: SetPass) -> SetRecord | None:
        keys = [(task.model.name, clip.clip_id) for clip in task.clips]
        if self.broken & set(keys):
            return None
        packed, kernels, alone = {}, {}, {}
        for module in task.model.lora:
            each = [self.g_b[key][module.name] for key in keys]
            audio = [g[: self.records[key].audio_frames] for g, key in zip(each, keys, strict=True)]
            upper = np.triu_indices(module.outputs)
            packed[module.name] = np.stack([sum(g.T @ g for g in kept)[upper] for kept in (each, audio)])
            flat = np.stack([g.ravel() for g in each])
            if task.kernels:
                kernels[module.name] = flat @ flat.T
            if len(keys) == 1:
                alone[module.name] = Scaled.of(audio[0])
        return SetRecord(len(keys), packed, kernels, alone)

    def weights(self, model: ModelInfo) -> ModelRecord | None:
        if model.name not in self.a:
            return None
        rng = np.random.default_rng(7)
        modules = {}
        for module in model.lora:
            a, b = (side[model.name][module.name].astype(np.float32) for side in (self.a, self.b))
            w = rng.normal(size=(module.outputs, module.inputs))
            u, s, v = np.linalg.svd(2.0 * b.astype(np.float64) @ a, full_matrices=False)
            uw, sw, vw = np.linalg.svd(w, full_matrices=False)
            both = np.linalg.svd(w + 2.0 * b @ a)
            r = module.rank
            ks = range(1, r + 1)
            modules[module.name] = WeightsRecord(
                a=a,
                b=b,
                scaling=2.0,
                s_w=sw,
                s_wdw=both[1],
                s_dw=s[:r],
                v_dw=v[:r].astype(np.float32),
                cos_intruder=np.abs(both[0][:, :10].T @ uw).max(axis=1),
                overlap_u=np.array([np.linalg.norm(u[:, :k].T @ uw[:, :k]) ** 2 / k for k in ks]),
                overlap_v=np.array([np.linalg.norm(v[:k] @ vw[:k].T) ** 2 / k for k in ks]),
            )
        return ModelRecord(modules, np.zeros((3, 48)), np.zeros(3))


def means(arrays: dict[str, np.ndarray], audio: int) -> dict[str, np.ndarray]:
    """Over all frames and over those that hold audio, as records have them."""
    return {m: np.stack([x.mean(0), x[:audio].mean(0)]).astype(np.float32) for m, x in arrays.items()}


def make_adapters(request: AnalysisRequest, seed: int = 0, *, untrained: bool = True) -> Adapters:
    """Records of the request's models and their untrained counterparts, over its clips."""
    rng = np.random.default_rng(seed)
    shelf = Adapters()
    models = list(request.models)
    if untrained:
        keep = request.variant == "corrected"
        trained, seeds = [m for m in request.models if m.role is Role.LORA], range(request.untrained_seeds)
        models += [untrained_of(model, keep_head=keep, seed=seed) for model in trained for seed in seeds]
    for model in models:
        if model.lora:
            shelf.a[model.name] = {m.name: rng.normal(size=(m.rank, m.inputs)) for m in model.lora}
            shelf.b[model.name] = {m.name: rng.normal(size=(m.outputs, m.rank)) for m in model.lora}
        for clip in request.clips:
            key = model.name, clip.clip_id
            record = make_record(model, rng)
            frames, points, audio = model.shape.frames, model.shape.layers + 1, -(-clip.n_samples // 320)
            # something common to all modules' clips, so that CKA is neither 0 nor 1
            core = rng.normal(size=(frames, 3))
            mix = np.random.default_rng(1)
            shelf.x[key] = {
                m.name: core @ mix.normal(size=(3, m.rank)) + 0.7 * rng.normal(size=(frames, m.rank))
                for m in model.lora
            }
            shelf.g_b[key] = {m.name: 1e-5 * rng.normal(size=(frames, m.outputs)) for m in model.lora}
            shelf.h[key] = rng.normal(size=(points, frames, model.shape.width))
            upper = {m.name: np.triu_indices(m.rank) for m in model.lora}
            grams = {
                m: np.stack([(x.T @ x)[upper[m]], (x[:audio].T @ x[:audio])[upper[m]]]) for m, x in shelf.x[key].items()
            }
            shelf.records[key] = replace(record, audio_frames=audio, gram_a=grams)
    return shelf
