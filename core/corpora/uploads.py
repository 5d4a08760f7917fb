"""Uploads and recordings: kept in this process's memory, on disk only where the user asks for it."""

import csv
import io
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
import soundfile

from core.audio.waveform import SAMPLE_RATE, Waveform
from core.corpora.clip import Clip
from core.errors import Refusal

_METADATA = "metadata.csv"


class Uploads:
    """Clips people brought, newest last; the oldest leave memory beyond `capacity`. Thread-safe."""

    def __init__(self, capacity: int, directory: Path) -> None:
        self._capacity = capacity
        self._directory = directory
        self._lock = threading.Lock()
        self._held: OrderedDict[str, tuple[Clip, np.ndarray]] = OrderedDict()

    def add(self, waveform: Waveform, name: str) -> Clip:
        """Take a decoded upload; the same sound twice is one clip, under its first name."""
        clip = Clip(waveform.clip_id, name, waveform.samples.size)
        with self._lock:
            held = self._held.pop(clip.clip_id, (clip, waveform.samples))
            self._held[clip.clip_id] = held
            while len(self._held) > self._capacity:
                self._held.popitem(last=False)
        return held[0]

    def samples(self, clip_id: str) -> np.ndarray | None:
        """16 kHz mono samples, from memory or from what was kept; None where the audio was not kept."""
        with self._lock:
            held = self._held.get(clip_id)
        if held is not None:
            return held[1]
        path = self._path(clip_id)
        return soundfile.read(path, dtype="float32")[0] if path.is_file() else None

    def clips(self) -> list[Clip]:
        """Held and kept clips, newest first."""
        with self._lock:
            held = [clip for clip, _ in reversed(self._held.values())]
        seen = {clip.clip_id for clip in held}
        return held + [clip for clip in self._kept() if clip.clip_id not in seen]

    def keep(self, clip_id: str) -> None:
        """Write a held clip to disk, exactly (float32 WAV), so that links to it keep their sound."""
        if self.is_kept(clip_id):
            return
        with self._lock:
            held = self._held.get(clip_id)
        if held is None:
            raise Refusal("The sound of this clip is no longer in memory: upload it again.")
        clip, samples = held
        self._directory.mkdir(parents=True, exist_ok=True)
        whole = io.BytesIO()
        soundfile.write(whole, samples, SAMPLE_RATE, format="WAV", subtype="FLOAT")
        temporary = self._path(clip_id).with_suffix(".tmp")
        temporary.write_bytes(whole.getvalue())
        temporary.replace(self._path(clip_id))
        with (self._directory / _METADATA).open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow([clip_id, clip.name, clip.n_samples])

    def is_kept(self, clip_id: str) -> bool:
        return self._path(clip_id).is_file()

    def _kept(self) -> list[Clip]:
        try:
            with (self._directory / _METADATA).open(encoding="utf-8", newline="") as file:
                rows = [row for row in csv.reader(file) if len(row) == 3]  # id, name, samples
        except FileNotFoundError:
            return []
        return [Clip(row[0], row[1], int(row[2])) for row in reversed(rows) if self.is_kept(row[0])]

    def _path(self, clip_id: str) -> Path:
        return self._directory / f"{clip_id}.wav"
