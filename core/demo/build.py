"""Make the embedded demo from nothing: speech, recogniser, head, adapters, measurements, cards.

Every step leaves a file behind by which the next run knows that it is done; a killed build goes on where it was.
"""

import json
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from core import paths
from core.demo import adapt, backbone, corpus, measure, speech
from core.demo.cards import write_cards
from core.demo.corpus import Take
from core.demo.prosody import EMOTIONS

SHIPPED_SPEAKERS = ("F01", "M01", "F02", "M02")
SHIPPED_SENTENCES = 2


@dataclass(frozen=True)
class Sizes:
    """How much of everything; the defaults make the shipped demo in about an hour on one core."""

    utterances: int = 3000  # of the recogniser's corpus
    renderings: int = 3  # of each of them
    backbone_epochs: int = 6
    train_speakers: int = 400
    valid_speakers: int = 40
    test_speakers: int = 20
    sentences: int = 3  # a training or validation speaker says, in four emotions each
    test_sentences: int = 6
    head_epochs: int = 60
    lora_epochs: int = 4
    lora_lr: float = 4e-3
    seed: int = 11

    @property
    def acted(self) -> int:
        """Clips with an emotion."""
        told = (self.train_speakers + self.valid_speakers) * self.sentences + self.test_speakers * self.test_sentences
        return told * len(EMOTIONS)


def build(out: Path = paths.DEMO, workdir: Path | None = None, sizes: Sizes | None = None) -> dict[str, Any]:
    """Run every step that is not done yet, put the demo into `out`, and return its metrics.

    `workdir` (default `build/demo`) holds corpora, checkpoints and the growing demo, about 1 GB; delete it to start
    over. `out` is replaced at the very end, so that a demo that is there stays whole until then.
    """
    sizes = sizes or Sizes()
    work = workdir or paths.ROOT / "build" / "demo"
    made = work / "demo"
    made.mkdir(parents=True, exist_ok=True)
    _same_sizes(work / "sizes.json", sizes)
    start = time.monotonic()

    sounds = corpus.recogniser_takes(sizes.utterances, sizes.renderings, sizes.seed)
    corpus.write_corpus(work / "recogniser", sizes.utterances * sizes.renderings, sounds)
    make_acted(work, sizes)
    base, head = made / "base", made / "frozen"
    backbone.pretrain(corpus.read_corpus(work / "recogniser"), base, work, sizes.backbone_epochs, sizes.seed)
    acted = corpus.read_corpus(work / "acted")
    adapt.train_head(base, acted, head, sizes.head_epochs, sizes.seed)
    for rank in adapt.RANKS:
        adapter = made / f"lora-r{rank}"
        adapt.train_lora(base, head, acted, adapter, rank, sizes.lora_epochs, sizes.lora_lr, sizes.seed)
    ship_clips(work / "clips", acted, made / "clips")
    metrics = _metrics(made, acted, sizes)
    (made / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    write_cards(made, metrics)
    _publish(made, out)
    print(f"demo: done in {(time.monotonic() - start) / 60:.1f} minutes, in {out}", file=sys.stderr)
    return metrics


def make_acted(work: Path, sizes: Sizes) -> None:
    """The corpus of acted emotions; the clips that may ship are kept as FLAC beside it."""

    def keep(take: Take, samples: NDArray[np.float32]) -> None:
        if take.split == "test" and take.speaker in SHIPPED_SPEAKERS and take.sentence < SHIPPED_SENTENCES:
            (work / "clips").mkdir(parents=True, exist_ok=True)
            soundfile.write(work / "clips" / clip_name(take), samples, speech.RATE, subtype="PCM_16", format="FLAC")

    def takes() -> Any:
        yield from corpus.acted_takes("train", sizes.train_speakers, sizes.sentences, sizes.seed)
        yield from corpus.acted_takes("valid", sizes.valid_speakers, sizes.sentences, sizes.seed)
        yield from corpus.acted_takes("test", sizes.test_speakers, sizes.test_sentences, sizes.seed)

    corpus.write_corpus(work / "acted", sizes.acted, takes(), keep)


def clip_name(take: Take) -> str:
    """`F01_s03_anger.flac`: speaker, sentence, emotion."""
    return f"{take.speaker}_s{take.sentence + 1:02d}_{take.emotion}.flac"


def ship_clips(source: Path, acted: corpus.Corpus, out: Path) -> None:
    """Copy the kept clips and list them in `metadata.csv`; a session is one woman and one man, as in IEMOCAP."""
    out.mkdir(parents=True, exist_ok=True)
    lines = ["file_name,label,speaker,session"]
    for take in acted.takes:
        name = clip_name(take)
        if take.split == "test" and (source / name).exists():
            (out / name).write_bytes((source / name).read_bytes())
            lines.append(f"{name},{take.emotion},{take.speaker},S{int(take.speaker[1:])}")
    (out / "metadata.csv").write_text("\n".join(lines) + "\n")


def _metrics(out: Path, acted: corpus.Corpus, sizes: Sizes) -> dict[str, Any]:
    return {
        "synthetic": True,
        "starter": True,
        "command": "python -m core demo",
        "chance_uar": 1 / len(EMOTIONS),
        "classes": list(EMOTIONS),
        "sizes": asdict(sizes),
        "backbone": json.loads((out / "base" / "backbone.json").read_text()),
        "training": {
            name: json.loads((out / name / "training.json").read_text())
            for name in ("frozen", *(f"lora-r{rank}" for rank in adapt.RANKS))
        },
        "test": measure.on_test_speakers(out, acted),
        "shipped_clips": measure.on_shipped_clips(out),
    }


def _publish(made: Path, out: Path) -> None:
    """Replace what `out` holds of an earlier demo."""
    for part in made.iterdir():
        if (out / part.name).is_dir():
            shutil.rmtree(out / part.name)
    shutil.copytree(made, out, dirs_exist_ok=True)
    for file in out.rglob("*.safetensors"):
        file.chmod(0o644)  # safetensors writes for the owner only; the demo is for everyone


def _same_sizes(remembered: Path, sizes: Sizes) -> None:
    """Steps of two different builds must not mix in one work directory."""
    wanted = asdict(sizes)
    if remembered.exists() and json.loads(remembered.read_text()) != wanted:
        raise RuntimeError(f"{remembered.parent} holds a build with other sizes; delete it, or name another workdir")
    remembered.write_text(json.dumps(wanted))
