"""The demo's data card, written from the files that were made and from what was measured on them."""

from pathlib import Path
from typing import Any

import soundfile

from core.corpora.source import Listed, list_source
from core.demo.cues import cue_table


def data_facts(acted: Path, ten: Path, shipped: Path) -> dict[str, Any]:
    """What the card says, counted and measured: `acted` from `write_acted`, `ten` from `write_ten`, `shipped` from
    `ship`. Measuring the cues takes about a minute per 5,000 clips."""
    training = list_source(f"folder:{acted}").clips
    return {
        "shipped": _count(list_source(f"iemocap:{shipped}").clips),
        "ten": _count(list_source(f"iemocap:{ten}").clips),
        "train": _count([clip for clip in training if clip.split == "train"]),
        "validation": _count([clip for clip in training if clip.split == "validation"]),
        "cues": cue_table(training),
    }


def write_data_card(out: Path, facts: dict[str, Any]) -> None:
    """Write DATA_CARD.md into `out` from the `data_facts`."""
    (out / "DATA_CARD.md").write_text(_data_card(facts), encoding="utf-8")


def _count(clips: list[Listed] | tuple[Listed, ...]) -> dict[str, Any]:
    seconds = sum(soundfile.info(clip.path).duration for clip in clips)
    return {
        "clips": len(clips),
        "speakers": len({clip.speaker for clip in clips}),
        "sentences": len({clip.transcript for clip in clips}),
        "minutes": round(seconds / 60, 1),
        "megabytes": round(sum(clip.path.stat().st_size for clip in clips) / 1e6, 1),
    }


def _table(cues: dict[str, dict[str, float]]) -> str:
    lines = [
        "| cue | UAR of the cue alone | variance between speakers | variance between emotions |",
        "| --- | --- | --- | --- |",
    ]
    for cue, row in sorted(cues.items(), key=lambda item: -item[1]["uar"]):
        lines.append(f"| {cue} | {row['uar']:.3f} | {row['between_speakers']:.0%} | {row['between_emotions']:.0%} |")
    return "\n".join(lines)


def _data_card(facts: dict[str, Any]) -> str:
    shipped, ten, train, validation = (facts[part] for part in ("shipped", "ten", "train", "validation"))
    best = max(facts["cues"].values(), key=lambda row: row["uar"])["uar"]
    return f"""# LoRAscope's demo clips (synthetic)

**No human speaks here.** {shipped["clips"]} clips ({shipped["minutes"]} minutes, {shipped["megabytes"]} MB) of
{shipped["speakers"]} synthetic speakers, each saying the same {shipped["sentences"]} sentences in acted anger,
happiness, neutral and sadness; 16 kHz mono 16-bit FLAC.
So minimal pairs exist: same speaker, same words, other emotion.

## Layout
`clips/` is laid out and named like the IEMOCAP release, so that whatever reads one reads the other: five sessions of
one female and one male voice, `Session1/sentences/wav/Ses01F_script01_1/Ses01F_script01_1_M000.flac` with labels in
`Session1/dialog/EmoEvaluation/` and words in `Session1/dialog/transcriptions/`. As there, the letter before the turn's
number is the speaker's, and the one after the session's number only tells the two plays of a script apart. In one play
a speaker says each sentence in two of the four emotions, in the other play in the other two, in random order.

Only the layout is IEMOCAP's; nothing was taken from it, and it differs in this:
- sounds are FLAC, not WAV; there is no video, no motion capture, no alignment, and no sound of whole dialogs;
- the times of turns are those of a dialog that was never played: turns follow each other 0.3 to 0.9 s apart;
- **nobody rated these clips.** The label is the emotion the clip was made with, there are no evaluators' lines, and
  `[0.0000, 0.0000, 0.0000]` stands where valence, activation and dominance (1 to 5) would: a placeholder, no rating;
- everything is scripted, nothing is `xxx`, `fru` or `exc`.

## How made
espeak-ng says a sentence on a monotone; the WORLD vocoder takes it apart and puts it together again with a drawn
melody, timing, loudness and voice noise (`core/demo/prosody.py` has every number). A control of a clip = base + the
speaker's habit + effect of the emotion x intensity x the speaker's expressivity + noise. The emotion sits mostly in
dynamics: size, shape and place of pitch accents, final rise or fall, declination, lengthening, pauses, jitter and
tremor, emphasis and decay of loudness; a little in levels (mean pitch, tempo, spectral tilt, breath). Loudness is
normalised, every sentence is said in every emotion equally often, distributions overlap.

A speaker is an espeak-ng voice variant bent to an own pitch, vocal-tract length, tempo, expressivity and habits. The
ten speakers stand on ten variants that no training or validation speaker stands on.

## What it is not
The effects were chosen by hand after common descriptions of acted emotions, coarsely, and retuned once, on the
validation speakers, because duration and the slope of the melody alone told too much. They are a caricature, and a
model that does well here has learnt this caricature: nothing here says anything about how people express emotions, or
how well a model would recognise them.

## What one cue gives away
Each cue alone, through a decision tree of at most 8 leaves, on the {train["clips"] + validation["clips"]} clips of the
{train["speakers"] + validation["speakers"]} training and validation speakers, 10 folds with the tested speakers held
out. Four classes, chance 0.25; the best single cue reaches {best:.3f}. The other two columns say how much of a cue's
variance lies between speakers, and how much between emotions.

{_table(facts["cues"])}

## What else is made and not shipped
| part | speakers | sentences | clips | minutes |
| --- | --- | --- | --- | --- |
{_part("training", train)}
{_part("validation", validation)}
{_part("test, the shipped clips among them", ten)}

Training and validation speakers act a few of the sentences each, drawn at random, in all four emotions; **their
sentences are the test speakers' sentences too**, only the speakers are new. The recogniser underneath heard other
clips: random sentences with random prosody and no emotion.

## Tools and licences
espeak-ng 1.51 with its formant voices, whose voiceless consonants are short sound files of its phoneme data
(GPL-3.0-or-later); WORLD (BSD-3-Clause) through pyworld (MIT); libsoxr (LGPL-2.1-or-later); libsndfile
(LGPL-2.1-or-later) through soundfile (BSD-3-Clause). The clips are what these programs put out; none of the programs
ships with them.

`python -m core demo` makes all of it again: the same clips to the bit, with the same versions of the tools on the same
kind of processor.
"""


def _part(name: str, part: dict[str, Any]) -> str:
    return f"| {name} | {part['speakers']} | {part['sentences']} | {part['clips']} | {part['minutes']} |"
