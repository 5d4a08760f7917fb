"""`analyze ranks` on the demo, against scikit-learn on activations that plain PyTorch hooks captured in float64."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from peft import PeftModel
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.metrics import recall_score, silhouette_samples
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from transformers import WhisperFeatureExtractor, WhisperForAudioClassification

from core import paths
from core.analyses.ranks_features import standardised
from core.analyses.request import DEFAULT_FRAMES, AnalysisRequest
from core.analyses.stored import StoredRecords
from core.corpora.clip import Clip
from core.models.describe import describe_registry
from core.store.key import Precision
from core.store.store import Store
from tests.capture.oracle import FRAME_SAMPLES, run_oracle
from tests.cli.command import Answer, Rows, pick, rows, run_json

DEMO = paths.ROOT / "demo"
FILES = {path.stem: path for path in (DEMO / "clips").rglob("*.*")}
ADAPTERS = {"LoRA r=8": "lora-r8", "LoRA r=64": "lora-r64"}
MODULES = ("0.v_proj", "7.v_proj")
NEIGHBOURS = 10


@pytest.fixture
def analyze(quick: Callable[..., Answer], tmp_path: Path) -> Callable[..., Path]:
    """Two adapters over so many demo clips of each emotion; the folder with its files."""

    def run(variant: str, balanced: int, out: str) -> Path:
        words = ("--models", ",".join(ADAPTERS), "--clips", "demo", "--balanced", balanced, "--out", tmp_path / out)
        assert quick("analyze", "ranks", *words, "--variant", variant) == Answer(0, "", "")
        return tmp_path / out

    return run


@dataclass(frozen=True)
class Heard:
    """The clips of a run, and what hooks on PEFT's own modules see of them: by adapter and module, clip by clip."""

    clips: list[dict[str, Any]]
    audio_frames: list[int]
    x_a: dict[str, dict[str, list[np.ndarray]]]

    @classmethod
    def of(cls, clips: list[dict[str, Any]]) -> "Heard":
        extractor = WhisperFeatureExtractor.from_pretrained(DEMO / "base")
        sounds = [soundfile.read(FILES[clip["name"]], dtype="float32")[0] for clip in clips]
        found: dict[str, dict[str, list[np.ndarray]]] = {}
        for name, folder in ADAPTERS.items():
            plain = WhisperForAudioClassification.from_pretrained(
                DEMO / "base", num_labels=4, ignore_mismatched_sizes=True
            )
            model = PeftModel.from_pretrained(plain, DEMO / folder)
            found[name] = {module: [] for module in MODULES}
            for sound in sounds:
                features = extractor(sound, sampling_rate=16_000, return_tensors="pt").input_features[0]
                x_a = run_oracle(model, features, len(sound)).x_a
                for module in MODULES:
                    found[name][module].append(x_a[module])
        return cls(clips, [-(-len(sound) // FRAME_SAMPLES) for sound in sounds], found)

    @property
    def labels(self) -> np.ndarray:
        return np.array([clip["label"] for clip in self.clips])

    @property
    def speakers(self) -> np.ndarray:
        """From file names, as IEMOCAP has them: Ses01F_impro04_M000 is Ses01M."""
        names = [clip["name"] for clip in self.clips]
        return np.array([name[:5] + name.split("_")[-1][0] for name in names])

    def rows(self, adapter: str, module: str, variant: str) -> np.ndarray:
        """Standardised, a clip a row: as the paper has them, or averaged over the frames with sound."""
        each = zip(self.x_a[adapter][module], self.audio_frames, strict=True)
        return StandardScaler().fit_transform(
            np.stack([a[:n].mean(axis=0) if variant == "corrected" else a.ravel() for a, n in each])
        )


def given_to_tsne(heard: Heard, cache: Path, variant: str) -> dict[str, dict[str, np.ndarray]]:
    """Points of each adapter and module, from the command's own cache."""
    store = Store(cache, 1)
    models = tuple(describe_registry(paths.DEFAULT_REGISTRY, store.index, names=list(ADAPTERS)).models)
    clips = tuple(Clip(clip["clip_id"], clip["name"], 16_000) for clip in heard.clips)
    request = AnalysisRequest(models, clips, models[0].name, variant, DEFAULT_FRAMES[variant])  # type: ignore[arg-type,index]
    records = StoredRecords(store, Precision())
    return {model.name: standardised(records, request, model)[1] for model in models}


def expect(heard: Heard, x: np.ndarray) -> dict[tuple[str, str], tuple[float, float]]:
    """Each metric by statistic and emotion, with how far float16 may put it off."""
    labels, speakers = heard.labels, heard.speakers
    a_clip = 1.01 / len(labels)
    apart = silhouette_samples(x, labels)
    alike = np.where(np.equal.outer(speakers, speakers), np.inf, cdist(x, x))
    pure = (labels[np.argsort(alike, axis=1)[:, :NEIGHBOURS]] == labels[:, None]).mean(axis=1)
    u, s, _ = np.linalg.svd(x, full_matrices=False)  # the probe's optimum is the same on these axes, and found sooner
    probe = LogisticRegression(max_iter=10_000, tol=1e-8)
    said = cross_val_predict(probe, u * s, labels, groups=speakers, cv=LeaveOneGroupOut())
    found = {
        ("silhouette", ""): (apart.mean(), 1e-3),
        ("knn_purity", ""): (pure.mean(), a_clip),
        ("probe_uar", ""): (recall_score(labels, said, average="macro"), a_clip),
    }
    for emotion in np.unique(labels):
        own = labels == emotion
        found["silhouette", emotion] = (apart[own].mean(), 1e-3)
        found["knn_purity", emotion] = (pure[own].mean(), a_clip)
        found["probe_recall", emotion] = ((said == labels)[own].mean(), 1.01 / own.sum())
    return found


def column(table: Rows, statistic: str, clips: Sequence[dict[str, Any]]) -> np.ndarray:
    """A map's numbers, clip by clip."""
    found = {row["clip_id"]: float(row["value"]) for row in pick(table, statistic=statistic)}
    return np.array([found[clip["clip_id"]] for clip in clips])


def test_tsne_inputs_and_metrics_are_scikit_learns_on_captured_activations(
    analyze: Callable[..., Path], tmp_path: Path
) -> None:
    """Features, standardisation and every metric, computed twice with nothing in common but the checkpoint."""
    heard: Heard | None = None
    with threadpool_limits(1):  # others only wait for each other on a busy machine
        for variant in ("published", "corrected"):
            out = analyze(variant, 6, variant)
            heard = heard or Heard.of(sorted(run_json(out)["clips"], key=lambda clip: clip["clip_id"]))
            table = rows(out / "ranks.csv")
            points = given_to_tsne(heard, tmp_path / "cache", variant)
            for module in MODULES:
                wanted = {}
                for adapter in ADAPTERS:
                    mine = pick(table, model=adapter, versus="", module=module)
                    x, given = heard.rows(adapter, module, variant), points[adapter][module]
                    near = cdist(x, x)
                    # all that t-SNE and PCA take from their input
                    assert np.abs(cdist(given, given) - near).max() < 5e-3 * near.max()
                    along = np.abs(PCA(1).fit_transform(x)[:, 0])
                    assert np.abs(column(mine, "pca_1", heard.clips)) == pytest.approx(along, abs=5e-3 * near.max())
                    wanted[adapter] = expect(heard, x)
                    for (statistic, emotion), (value, off) in wanted[adapter].items():
                        (row,) = pick(mine, statistic=statistic, component=emotion)
                        assert float(row["value"]) == pytest.approx(value, abs=off), (variant, adapter, module, row)
                lower, higher = ADAPTERS
                for (statistic, emotion), (value, off) in wanted[higher].items():
                    place = {"model": higher, "versus": lower, "module": module}
                    (row,) = pick(table, **place, statistic=statistic, component=emotion)
                    assert float(row["value"]) == pytest.approx(
                        value - wanted[lower][statistic, emotion][0], abs=2 * off
                    ), (variant, row)
            # from these points on, t-SNE is scikit-learn's, with the paper's numbers
            fit = TSNE(
                perplexity=(len(heard.clips) - 1) / 3,
                max_iter=1000,
                init="pca" if variant == "corrected" else "random",
                random_state=42,
            ).fit_transform(points["LoRA r=8"]["7.v_proj"])
            drawn = pick(table, model="LoRA r=8", module="7.v_proj")
            assert column(drawn, "tsne_1", heard.clips) == pytest.approx(fit[:, 0], rel=1e-4, abs=1e-3)


def test_the_same_bytes_from_a_warm_cache(analyze: Callable[..., Path]) -> None:
    """t-SNE too, which makes much of the last digit."""
    first, again = analyze("published", 2, "first"), analyze("published", 2, "again")
    assert run_json(first)["cache"] == {"hits": 0, "misses": 2 * 8}
    assert run_json(again)["cache"] == {"hits": 2 * 8, "misses": 0}
    assert (first / "ranks.csv").read_bytes() == (again / "ranks.csv").read_bytes()
    drawn = pick(rows(first / "ranks.csv"), statistic="tsne_1")
    assert drawn and all(row["value"] for row in drawn)
