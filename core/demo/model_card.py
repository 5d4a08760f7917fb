"""The demo's model card, written from what was measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_model_card(out: Path, metrics: Mapping[str, Any]) -> None:
    """Write MODEL_CARD.md into `out`."""
    (out / "MODEL_CARD.md").write_text(_card(metrics), encoding="utf-8")


def _card(metrics: Mapping[str, Any]) -> str:
    base, sizes = metrics["backbone"], metrics["sizes"]
    how = sizes["training"]
    shipped, everything = metrics["shipped_clips"], metrics["all_clips"]
    folders = ", ".join(f"`lora-r{rank}/`" for rank in how["ranks"])
    n, more = shipped[0]["members"][0]["n"], everything[0]["members"][0]["n"]
    clips = sizes["train_speakers"] * sizes["sentences"] * len(metrics["classes"])
    return f"""# LoRAscope's demo models (synthetic)

Trained on **synthetic speech only**. They show what the dashboard does and what LoRA does to a small recogniser; they
say nothing about human emotion and must not be used on people.

## What is here
- `base/`: an encoder in Whisper's exact architecture and format ({base["layers"]} layers, width {base["width"]},
  {base["heads"]} heads, 80 mel bins, window {base["window_s"]:g} s), pretrained to name the phone of every 20 ms
  frame of synthetic speech: {base["clips_train"]} clips, {base["epochs"]} epochs, frame accuracy
  {base["frame_accuracy_validation"]:.3f} on {base["clips_validation"]} other clips. Pitch, tempo, loudness, pauses and
  vocal-tract length varied at random, so that the recogniser learns to hear past them. It was never trained on
  emotions. The checkpoint also holds the smallest decoder the format allows; **the decoder is not trained** and
  transcribes nothing.
- `frozen/`: projector and classifier trained on the frozen encoder ({how["head_epochs"]} epochs).
- {folders}: PEFT adapters on every layer's `v_proj` (as in the paper's released code),
  alpha = 2 r, dropout 0.1, with their own projector and classifier that start from the frozen head of the same seed;
  {how["lora_epochs"]} epochs, highest learning rate {how["lora_lr"]:g}, the same for every rank.

All were trained by `python -m core train` on {sizes["train_speakers"]} synthetic speakers ({clips} clips); the epoch
was chosen by UAR on {sizes["validation_speakers"]} others. The ten speakers that ship were used for nothing but the
tables.
Each directory's `manifest.json` has the command, the clip ids and every epoch's scores. What ships is training seed
{how["seeds"][0]}, chosen before anything was measured. Weights are float16 safetensors.

## How good they are
On the {n} shipped clips: ten speakers whose espeak-ng voices neither the recogniser nor the adapters heard in training.
Four classes, chance {metrics["chance_uar"]:.2f}. Mean ± standard deviation over {len(how["seeds"])} training
seeds; the interval is the bootstrap's over speakers, all seeds pooled. The sentences are the same for everyone, in
training too.

{_table(shipped)}

On all {more} clips of these speakers (twenty sentences instead of five; the others are not shipped):

{_table(everything)}

The last row of each table is a control: r = {how["ranks"][len(how["ranks"]) // 2]} trained on shuffled labels.

Difference from the frozen head on the {n} clips, paired over clips and speakers:

{_comparisons(metrics["comparisons"])}

Ranks against each other, on all {more} clips:

{_comparisons(metrics["ranks"])}

{_verdict(metrics["ranks"])}

Made by `{metrics["command"]}`; `python -m core evaluate --models all --clips demo` repeats the row of what ships.

## Ten folds by speaker
The same machinery as for IEMOCAP (test one speaker, validate on the session's other, train on the remaining eight), on
the {n} shipped clips alone. Eight speakers are very few; this shows the folds, not the models.

{_table(metrics["folds"])}
"""


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| model | UAR, mean ± sd | 95 % interval | WAR, mean ± sd | over |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        uar, spread = row["uar"], row["spread"]
        means = [f"{row[name]['value']:.3f}" for name in ("uar", "war")]
        over = f"{row['members'][0]['n']} clips"
        if spread is not None:
            means = [f"{spread[name]:.3f} ± {spread[f'{name}_sd']:.3f}" for name in ("uar", "war")]
            over = spread["over"]
        lines.append(f"| {row['name']} | {means[0]} | {_interval(uar)} | {means[1]} | {over} |")
    return "\n".join(lines)


def _comparisons(found: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"| {one['model']} − {one['versus']} | {one['uar']['value']:+.3f} | {_interval(one['uar'])} |" for one in found
    ]
    return "\n".join(["| models | difference in UAR | 95 % interval |", "| --- | --- | --- |", *lines])


def _interval(estimate: Mapping[str, float]) -> str:
    return f"{estimate['low']:.3f} to {estimate['high']:.3f}"


def _verdict(ranks: Sequence[Mapping[str, Any]]) -> str:
    """What can be said about ranks, from the paired intervals alone."""
    apart = [f"{one['model']} from {one['versus']}" for one in ranks if one["uar"]["low"] * one["uar"]["high"] > 0]
    if apart:
        return f"These clips tell {', and '.join(apart)}: those intervals leave 0 out."
    return "Every interval has 0 in it: these clips do not tell the ranks apart."
