"""How good the demo's models are, measured on what ships: float16 files loaded again, speakers never trained on."""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import nn

from core.demo.adapt import RANKS, load_head, load_lora, predict, targets_of, uar
from core.demo.corpus import Corpus, feature_extractor
from core.demo.prosody import EMOTIONS


def models(demo: Path) -> dict[str, nn.Module]:
    """The four shipped models by registry name."""
    found: dict[str, nn.Module] = {"Frozen": load_head(demo / "base", demo / "frozen")}
    for rank in RANKS:
        found[f"LoRA r={rank}"] = load_lora(demo / "base", demo / f"lora-r{rank}")
    return found


def scores(guess: NDArray[np.int64], target: NDArray[np.int64], speaker: NDArray[np.str_]) -> dict[str, Any]:
    """UAR with a 95 % bootstrap interval over speakers, accuracy, n, and the confusion matrix (rows: true class)."""
    rng = np.random.default_rng(0)
    names = np.unique(speaker)
    draws = []
    for _ in range(1000):
        rows = np.concatenate([np.flatnonzero(speaker == name) for name in rng.choice(names, len(names))])
        draws.append(uar(guess[rows], target[rows]))
    confusion = np.zeros((len(EMOTIONS), len(EMOTIONS)), dtype=int)
    np.add.at(confusion, (target, guess), 1)
    return {
        "uar": round(uar(guess, target), 4),
        "uar_ci95_over_speakers": [round(float(q), 4) for q in np.quantile(draws, (0.025, 0.975))],
        "accuracy": round(float((guess == target).mean()), 4),
        "n": len(target),
        "confusion": confusion.tolist(),
    }


def on_test_speakers(demo: Path, corpus: Corpus) -> dict[str, Any]:
    """Scores of every model on the test split."""
    rows = corpus.rows("test")
    speaker = np.array([corpus.takes[row].speaker for row in rows])
    target = targets_of(corpus, rows)
    table = {name: scores(predict(model, corpus, rows), target, speaker) for name, model in models(demo).items()}
    return {"speakers": len(set(speaker)), "clips": len(rows), "models": table}


def on_shipped_clips(demo: Path) -> dict[str, Any]:
    """UAR and answers of every model on the clips in `demo/clips`, decoded from their files."""
    lines = (demo / "clips" / "metadata.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    extractor = feature_extractor()
    clips = [soundfile.read(demo / "clips" / row[0], dtype="float32")[0] for row in rows]
    features = extractor(clips, sampling_rate=extractor.sampling_rate, return_tensors="pt")["input_features"]
    target = np.array([EMOTIONS.index(row[1]) for row in rows])
    table = {}
    with torch.no_grad():
        for name, model in models(demo).items():
            guess = model(features).logits.argmax(-1).numpy()
            table[name] = {
                "uar": round(uar(guess, target), 4),
                "right": int((guess == target).sum()),
                "answers": {row[0]: EMOTIONS[g] for row, g in zip(rows, guess, strict=True)},
            }
    return {"clips": len(rows), "models": table}
