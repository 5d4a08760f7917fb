"""The demo's model card and data card, written from what was measured."""

from pathlib import Path
from typing import Any


def write_cards(out: Path, metrics: dict[str, Any]) -> None:
    """Write MODEL_CARD.md and DATA_CARD.md into `out`."""
    (out / "MODEL_CARD.md").write_text(_model_card(metrics))
    (out / "DATA_CARD.md").write_text(_data_card(metrics))


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


def _data_card(metrics: dict[str, Any]) -> str:
    sizes, clips = metrics["sizes"], metrics["shipped_clips"]["clips"]
    return f"""# LoRAscope starter demo: clips (synthetic)

**No human is heard here.** {clips} clips of four synthetic speakers (F01, F02, M01, M02), each saying the same two
sentences in acted anger, happiness, neutral and sadness, 16 kHz mono FLAC. So minimal pairs exist: same speaker,
same words, other emotion. `clips/metadata.csv` holds label, speaker and session (one female and one male voice).

## How made
espeak-ng says a sentence on a monotone; the WORLD vocoder takes it apart and puts it together again with a drawn
melody, timing, loudness and voice noise (`core/demo/prosody.py` has every number). A control of a clip = base + the
speaker's habit + effect of the emotion x intensity x the speaker's expressivity + noise. The emotion sits mostly in
dynamics: size, shape and place of pitch accents, final rise or fall, declination, lengthening, pauses, jitter and
tremor, emphasis and decay of loudness; a little in levels (mean pitch, tempo, spectral tilt, breath). Loudness is
normalised, sentences are the same for every emotion, distributions overlap.

The effects were chosen by hand after common descriptions of acted emotions, coarsely. They are a caricature, and a
model that does well here has learnt this caricature.

## What else was made and is not shipped
- {sizes["utterances"] * sizes["renderings"]} clips of random sentences with random prosody (for the recogniser).
- Acted clips of {sizes["train_speakers"]} training, {sizes["valid_speakers"]} validation and
  {sizes["test_speakers"]} test speakers (women's and men's voices in equal number). A speaker = an espeak-ng voice
  variant bent to an own pitch, vocal-tract length, expressivity and habits.
  Test speakers stand on variants that no training or validation speaker stands on.

`python -m core demo` makes all of it again.
"""
