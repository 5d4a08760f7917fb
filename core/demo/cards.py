"""The demo's model card, written from what was measured."""

from pathlib import Path
from typing import Any


def write_cards(out: Path, metrics: dict[str, Any]) -> None:
    """Write MODEL_CARD.md into `out`; the data card is `data_card`'s."""
    (out / "MODEL_CARD.md").write_text(_model_card(metrics))


def _table(metrics: dict[str, Any]) -> str:
    lines = [
        "| model | UAR, test speakers | 95 % interval over speakers | accuracy | n | right among the shipped clips |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    shipped = metrics["shipped_clips"]
    for name, score in metrics["test"]["models"].items():
        low, high = score["uar_ci95_over_speakers"]
        right = shipped["models"][name]["right"]
        lines.append(
            f"| {name} | {score['uar']:.3f} | {low:.3f} to {high:.3f} | {score['accuracy']:.3f} | {score['n']} "
            f"| {right} of {shipped['clips']} |"
        )
    return "\n".join(lines)


def _model_card(metrics: dict[str, Any]) -> str:
    base, sizes, test = metrics["backbone"], metrics["sizes"], metrics["test"]
    lora, accuracy = metrics["training"]["lora-r8"], base["frame_accuracy_validation"]
    return f"""# LoRAscope starter demo: models (synthetic)

A starter, trained within an hour on one processor core, on **synthetic speech only**. It shows what the dashboard
does; it says nothing about human emotion and must not be used on people.

## What is here
- `base/`: an encoder in Whisper's exact architecture and format (6 layers, width 96, 4 heads, 80 mel bins, window
  4 s), pretrained to name the phone of every 20 ms frame of synthetic speech: {base["clips_train"]} clips,
  {base["epochs"]} epochs, frame accuracy {accuracy:.3f} on {base["clips_validation"]} other clips. Pitch, tempo,
  loudness, pauses and vocal-tract length varied at random, so that the recogniser learns to hear past them. It was
  never trained on emotions. The checkpoint also holds the smallest decoder the format allows; **the decoder is not
  trained** and transcribes nothing.
- `frozen/`: projector and classifier trained on the frozen encoder.
- `lora-r8/`, `lora-r32/`, `lora-r64/`: PEFT adapters on every layer's `v_proj` (as in the paper's released code),
  alpha = 2 r, dropout 0.1, with their own projector and classifier that started from the frozen head.
  {lora["speakers_train"]} training speakers, {lora["clips_train"]} clips, {lora["epochs"]} epochs, learning rate
  {sizes["lora_lr"]:g}, the same for every rank, one seed.

All weights are float16 safetensors. The epoch was chosen by UAR on {lora["clips_validation"]} clips of
{sizes["valid_speakers"]} validation speakers (other speakers than in training, built on the same espeak-ng voices);
test speakers were used for nothing but the table.

## How good they are
UAR on {test["speakers"]} test speakers ({test["clips"]} clips), whose espeak-ng voices neither the recogniser
nor the adapters heard in training. Four classes, chance {metrics["chance_uar"]:.2f}. The shipped clips are some of
these. The sentences are the same for everyone, in training too. One training seed each, so differences between ranks
within the intervals mean nothing.

{_table(metrics)}

Confusion matrices, training curves and sizes are in `metrics.json`. Made by `{metrics["command"]}`.
"""
