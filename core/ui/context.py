"""What all sessions of this server share: settings, store, engine, models, uploads, and what is known of the clips."""

import atexit
import contextlib
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import streamlit as st

from core.audio.decoder import decoder
from core.corpora.clip import Clip
from core.corpora.samples import samples_reader
from core.corpora.select import identify
from core.corpora.source import Listed, Listing, list_source
from core.corpora.uploads import Uploads
from core.engine.build import local_engine
from core.engine.interface import Engine
from core.errors import Refusal
from core.models.describe import Models, describe_registry
from core.settings import settings
from core.store.store import Store
from core.studies.board import Board
from core.studies.process import Computer
from core.studies.study import Tools
from core.ui.jobs import Desk

_LISTING_TTL_S = 30.0  # a folder's files may change under us
_MODELS_TTL_S = 10.0  # checkpoints too; describing again costs some milliseconds a model


@st.cache_resource(show_spinner=False)
def store() -> Store:
    return Store(settings().cache_dir, settings().cache_max_gb)


@st.cache_resource(show_spinner=False)
def uploads() -> Uploads:
    return Uploads(settings().uploads_in_memory, settings().cache_dir / "uploads")


@st.cache_resource(show_spinner=False)
def engine() -> Engine:
    """The engine of this server; its worker starts with it, so that the first clip need not wait."""
    the_one = local_engine(settings(), store(), reader(), eager=True)
    atexit.register(the_one.close)
    # Only the spectrogram needs librosa, and importing it takes seconds: not when somebody waits for it.
    threading.Thread(target=_warm_up, name="lorascope-warm-up", daemon=True).start()
    return the_one


def _warm_up() -> None:
    from core.audio.mel import log_mel

    log_mel(np.zeros(1600, dtype=np.float32))


@st.cache_resource(show_spinner=False)
def desk() -> Desk:
    """Who asks the engine for passes, so that every session waits for the same ones."""
    return Desk(engine(), store())


@st.cache_resource(show_spinner=False)
def board() -> Board:
    """Studies of many clips, which every session looks at."""
    computer = Computer(store(), settings().cache_max_gb)
    atexit.register(computer.close)
    return Board(Tools(engine(), store(), computer, decoder()))


def reader() -> Callable[[Clip], np.ndarray]:
    """A function from clip to samples."""
    return samples_reader(decoder(), uploads())


def models() -> Models:
    """The registry as it stands now. Raises Refusal where the file can't be read."""
    path = settings().registry
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        changed = 0
    return _described(path, changed)


@st.cache_resource(show_spinner="Looking at the models …", ttl=_MODELS_TTL_S, max_entries=4)
def _described(path: Path, changed: int) -> Models:
    return describe_registry(path, store().index)


# Shared, not copied: nobody can change a Listing, and copying thousands of clips takes longer than drawing a page.
@st.cache_resource(show_spinner="Listing clips …", ttl=_LISTING_TTL_S, max_entries=16)
def listing(source: str) -> Listing:
    """Clips of a source that lies on disk, as listed, not decoded. Raises Refusal."""
    return list_source(source)


# Streamlit's own way of hashing takes 0.3 s for 5000 clips, at every click.
@st.cache_resource(show_spinner=False, ttl=_LISTING_TTL_S, max_entries=16, hash_funcs={tuple: hash})
def stamp(listed: tuple[Listed, ...]) -> str:
    """Of the files as they are now: another one where one of them changed."""
    total = hashlib.sha256()
    for clip in listed:
        with contextlib.suppress(OSError):  # whoever reads it says what is wrong with it
            found = clip.path.stat()
            total.update(f"{found.st_mtime_ns} {found.st_size}\n".encode())
    return total.hexdigest()


def identified(listed: Listed) -> Clip:
    """The clip behind a listed file, decoded once to know its id and length. Raises Refusal."""
    clips, unusable = identify([listed], decoder(), store().index)
    if unusable:
        raise Refusal(unusable[0].reason)
    return clips[0]


@st.cache_resource(show_spinner=False)
def _warnings() -> dict[str, tuple[str, ...]]:
    return {}


def warn(clip_id: str, sentences: tuple[str, ...]) -> None:
    """Keep what the decoder found strange about a clip, for whoever looks at it."""
    if sentences:
        _warnings()[clip_id] = sentences


def warnings(clip: Clip) -> tuple[str, ...]:
    """The decoder's warnings about a clip, as far as this server decoded it."""
    return _warnings().get(clip.clip_id, ())


@st.cache_resource(show_spinner=False, max_entries=16)
def sound(clip: Clip) -> np.ndarray:
    """A clip's samples, 16 kHz mono. Raises Refusal where the sound is gone."""
    if clip.path is None:
        return reader()(clip)
    waveform = decoder().decode_file(clip.path)
    warn(clip.clip_id, waveform.warnings)
    return waveform.samples
