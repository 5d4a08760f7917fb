"""The demo's encoder: Whisper's architecture, small, pretrained to recognise phones (not emotion), in the hub's format.

Its training speech has prosody drawn at random, so the recogniser learns to hear past what the emotions are made of:
the situation the paper starts from.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperForConditionalGeneration
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from core.demo import speech
from core.demo.phones import IGNORED, MEL_BINS, Phones, feature_extractor

WIDTH, LAYERS, HEADS = 96, 8, 4
BATCH = 32


def config() -> WhisperConfig:
    """Whisper with a small encoder for 4 s and the least decoder the format allows (it is never trained)."""
    return WhisperConfig(
        vocab_size=8,
        num_mel_bins=MEL_BINS,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        encoder_ffn_dim=4 * WIDTH,
        decoder_layers=1,
        decoder_attention_heads=1,
        decoder_ffn_dim=8,
        max_source_positions=round(speech.WINDOW_S / speech.FRAME_S),
        max_target_positions=8,
        bos_token_id=0,
        decoder_start_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        suppress_tokens=[],
        begin_suppress_tokens=[],
        classifier_proj_size=WIDTH,
    )


def pretrain(corpus: Phones, out: Path, work: Path, epochs: int, seed: int) -> None:
    """Train the encoder on frame-wise phones and save the checkpoint to `out`.

    Continues after a kill where the last epoch ended.
    """
    if (out / "backbone.json").exists():
        return
    torch.manual_seed(seed)
    model = WhisperForConditionalGeneration(config())
    encoder = model.get_encoder()
    phone_head = nn.Linear(WIDTH, len(corpus.names))
    parameters = [p for p in (*encoder.parameters(), *phone_head.parameters()) if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.01, betas=(0.9, 0.98))
    train, valid = corpus.rows("train"), corpus.rows("valid")
    steps = max(1, len(train) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=epochs * steps, pct_start=0.1)
    work.mkdir(parents=True, exist_ok=True)
    saved, start, accuracy = work / "backbone.pt", 0, 0.0
    if saved.exists():  # our own file, written by this function
        state = torch.load(saved, weights_only=True)
        start = state["epoch"]
        encoder.load_state_dict(state["encoder"])
        phone_head.load_state_dict(state["phone_head"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        accuracy = frame_accuracy(encoder, phone_head, corpus, valid)
    for epoch in range(start, epochs):
        rng = np.random.default_rng((seed, epoch))  # of the epoch: a resumed run sees the same batches
        torch.manual_seed(seed + epoch)
        encoder.train()
        order = rng.permutation(train)
        total = 0.0
        for step in range(steps):
            rows = np.sort(order[step * BATCH : (step + 1) * BATCH])
            logits = phone_head(encoder(_mask(corpus.batch(rows), rng)).last_hidden_state)
            target = torch.from_numpy(corpus.phones[rows].astype(np.int64))
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=IGNORED)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        accuracy = frame_accuracy(encoder, phone_head, corpus, valid)
        print(
            f"backbone: epoch {epoch + 1} of {epochs}, loss {total / steps:.3f}, valid frame accuracy {accuracy:.3f}",
            file=sys.stderr,
            flush=True,
        )
        state = {
            "epoch": epoch + 1,
            "encoder": encoder.state_dict(),
            "phone_head": phone_head.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
        }
        torch.save(state, saved.with_suffix(".tmp"))
        saved.with_suffix(".tmp").rename(saved)
    model.half().save_pretrained(out)
    feature_extractor().save_pretrained(out)
    facts = {
        "task": "frame-wise phones of synthetic speech, 20 ms frames",
        "frame_accuracy_validation": round(accuracy, 4),
        "phones": len(corpus.names),
        "clips_train": len(train),
        "clips_validation": len(valid),
        "epochs": epochs,
        "seed": seed,
    }
    (out / "backbone.json").write_text(json.dumps(facts, indent=2) + "\n")


@torch.no_grad()
def frame_accuracy(encoder: WhisperEncoder, phone_head: nn.Module, corpus: Phones, rows: np.ndarray) -> float:
    """Share of frames inside the clips whose phone is right."""
    encoder.eval()
    right = count = 0
    for first in range(0, len(rows), BATCH):
        part = np.sort(rows[first : first + BATCH])
        guess = phone_head(encoder(corpus.batch(part)).last_hidden_state).argmax(-1).numpy()
        target = corpus.phones[part]
        right += int(((guess == target) & (target != IGNORED)).sum())
        count += int((target != IGNORED).sum())
    return right / count


def _mask(features: Tensor, rng: np.random.Generator) -> Tensor:
    """SpecAugment, lightly: one band of bins and two stretches of frames a clip go to the clip's floor."""
    features = features.clone()
    for clip in features:
        floor = clip.min()
        low = int(rng.integers(0, MEL_BINS - 10))
        clip[low : low + int(rng.integers(0, 11))] = floor
        for _ in range(2):
            start = int(rng.integers(0, clip.shape[1] - 20))
            clip[:, start : start + int(rng.integers(0, 16))] = floor
    return features
