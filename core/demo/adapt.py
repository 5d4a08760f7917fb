"""Emotion on top of the recogniser: a head on the frozen encoder, and LoRA of several ranks.

The epoch is chosen by UAR on validation speakers.
LoRA sits on the projections of TARGETS, alpha = 2 r, dropout 0.1; its head starts from the frozen model's.
"""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import WhisperForAudioClassification
from transformers.utils import logging

from core.demo.corpus import Corpus
from core.demo.prosody import EMOTIONS

TARGETS = ("v_proj",)  # what the paper's released code adapts
RANKS = (8, 32, 64)
BATCH = 32
HEAD_PREFIXES = ("projector.", "classifier.")


def classifier(base: Path, seed: int = 0) -> WhisperForAudioClassification:
    """The base's encoder, frozen, in float32 under an untrained head for the four emotions."""
    torch.manual_seed(seed)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # the decoder is left out and the head is new: meant, and checked below
    loaded: Any = WhisperForAudioClassification.from_pretrained(
        base,
        num_labels=len(EMOTIONS),
        id2label=dict(enumerate(EMOTIONS)),
        label2id={name: i for i, name in enumerate(EMOTIONS)},
        dtype=torch.float32,  # the file is float16 and would stay so
        output_loading_info=True,
    )
    logging.set_verbosity(verbosity)
    model, info = loaded
    lacking = [key for key in info["missing_keys"] if not key.startswith(HEAD_PREFIXES)]
    if lacking:
        raise RuntimeError(f"{base} lacks encoder weights: {lacking[:3]}")
    model.freeze_encoder()
    model.encoder.embed_positions.requires_grad_(False)  # loading turns it back on
    return model


def targets_of(corpus: Corpus, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Class index of each row."""
    return np.array([EMOTIONS.index(corpus.takes[row].emotion) for row in rows])


def uar(guess: NDArray[np.int64], target: NDArray[np.int64]) -> float:
    """Unweighted average recall: the mean of the classes' recalls."""
    return float(np.mean([(guess[target == c] == c).mean() for c in np.unique(target)]))


@torch.no_grad()
def predict(model: nn.Module, corpus: Corpus, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Predicted class index of each row (rows ascending)."""
    model.eval()
    parts = [model(corpus.batch(rows[i : i + BATCH])).logits.argmax(-1).numpy() for i in range(0, len(rows), BATCH)]
    return np.concatenate(parts)


def train_head(base: Path, corpus: Corpus, out: Path, epochs: int, seed: int) -> None:
    """Train projector and classifier on the frozen encoder; write `out` (config.json, model.safetensors).

    The head is projector → mean over frames → classifier, and the projector is linear, so the mean can be taken
    first: the encoder runs once a clip instead of once an epoch.
    """
    if (out / "training.json").exists():
        return
    model = classifier(base, seed)
    pooled, wanted, rows = {}, {}, {}
    with torch.no_grad():
        for split in ("train", "valid"):
            rows[split] = corpus.rows(split)
            parts = [
                model.encoder(corpus.batch(rows[split][i : i + BATCH])).last_hidden_state.mean(1)
                for i in range(0, len(rows[split]), BATCH)
            ]
            pooled[split] = torch.cat(parts)
            wanted[split] = torch.from_numpy(targets_of(corpus, rows[split]))
    head = [*model.projector.parameters(), *model.classifier.parameters()]
    optimizer = torch.optim.AdamW(head, lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    best, kept, history = -1.0, copy.deepcopy(_head_state(model)), []
    for _ in range(epochs):
        for part in torch.randperm(len(wanted["train"])).split(64):
            logits = model.classifier(model.projector(pooled["train"][part]))
            loss = nn.functional.cross_entropy(logits, wanted["train"][part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        with torch.no_grad():
            guess = model.classifier(model.projector(pooled["valid"])).argmax(-1)
        history.append(round(uar(guess.numpy(), wanted["valid"].numpy()), 4))
        if history[-1] > best:
            best, kept = history[-1], copy.deepcopy(_head_state(model))
    out.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(out)
    save_file({key: value.half() for key, value in kept.items()}, out / "model.safetensors", {"format": "pt"})
    _write_facts(out, "frozen encoder", corpus, epochs, seed, history)


def train_lora(base: Path, head: Path, corpus: Corpus, out: Path, rank: int, epochs: int, lr: float, seed: int) -> None:
    """Train one adapter and its head, keep the epoch with the best validation UAR, write a PEFT directory to `out`."""
    if (out / "training.json").exists():
        return
    model = load_head(base, head)
    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.1,
        target_modules=list(TARGETS),
        modules_to_save=["projector", "classifier"],
        task_type=None,
    )
    adapted = get_peft_model(model, config)
    parameters = [p for p in adapted.parameters() if p.requires_grad]
    train, valid = corpus.rows("train"), corpus.rows("valid")
    wanted = targets_of(corpus, np.arange(len(corpus.takes)))
    steps = max(1, len(train) // BATCH)
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=epochs * steps, pct_start=0.15)
    best, kept, history = -1.0, {}, []
    for epoch in range(epochs):
        order = np.random.default_rng((seed, epoch)).permutation(train)
        adapted.train()
        total = 0.0
        for step in range(steps):
            rows = np.sort(order[step * BATCH : (step + 1) * BATCH])
            loss = nn.functional.cross_entropy(adapted(corpus.batch(rows)).logits, torch.from_numpy(wanted[rows]))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        history.append(round(uar(predict(adapted, corpus, valid), wanted[valid]), 4))
        print(
            f"LoRA r={rank}: epoch {epoch + 1} of {epochs}, loss {total / steps:.3f}, valid UAR {history[-1]:.3f}",
            file=sys.stderr,
            flush=True,
        )
        if history[-1] > best:
            best = history[-1]
            kept = {name: p.detach().clone() for name, p in adapted.named_parameters() if p.requires_grad}
    adapted.load_state_dict(kept, strict=False)
    adapted.peft_config["default"].base_model_name_or_path = "demo/base"  # not a path of the building machine
    adapted.half().save_pretrained(str(out), save_embedding_layers=False)
    (out / "README.md").unlink(missing_ok=True)  # PEFT's empty template; the demo has one card
    _write_facts(out, f"LoRA r={rank}", corpus, epochs, seed, history)


def load_head(base: Path, head: Path) -> WhisperForAudioClassification:
    """The frozen model as shipped: base encoder under the trained head."""
    model = classifier(base)
    state = {key: value.float() for key, value in load_file(head / "model.safetensors").items()}
    if set(state) != set(_head_state(model)):
        raise RuntimeError(f"{head} holds {sorted(state)}, not exactly the head's tensors")
    model.load_state_dict(state, strict=False)
    return model.eval()


def load_lora(base: Path, adapter: Path) -> PeftModel:
    """An adapter as shipped, over the base."""
    return PeftModel.from_pretrained(classifier(base), adapter).float().eval()


def _head_state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value for key, value in model.state_dict().items() if key.startswith(HEAD_PREFIXES)}


def _write_facts(out: Path, what: str, corpus: Corpus, epochs: int, seed: int, history: list[float]) -> None:
    facts = {
        "model": what,
        "clips_train": len(corpus.rows("train")),
        "speakers_train": len({corpus.takes[row].speaker for row in corpus.rows("train")}),
        "clips_validation": len(corpus.rows("valid")),
        "epochs": epochs,
        "seed": seed,
        "best_validation_uar": max(history),
        "validation_uar_by_epoch": history,
    }
    (out / "training.json").write_text(json.dumps(facts, indent=2) + "\n")
