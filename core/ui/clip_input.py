"""Bringing a clip: upload, microphone, player, and the window of a clip that is longer than the models'."""

import textwrap
import time

import streamlit as st

from core.audio.decoder import decoder
from core.audio.waveform import SAMPLE_RATE, encode_wav
from core.corpora.clip import Clip
from core.corpora.source import UPLOADS
from core.engine.interface import Pass
from core.errors import Refusal
from core.figures.clip import window_view, window_view_alt
from core.figures.layout import CONFIG, number
from core.models.info import ModelInfo
from core.settings import settings
from core.ui import context, sources
from core.ui.clips import Chosen, upload_label
from core.ui.keys import Key

_WORDS = 120  # characters of a transcript that are shown at once
_REFUSED = "refused_upload"  # in the session: the widget's file and the sentence


def bring() -> st.delta_generator.DeltaGenerator:
    """Uploader and recorder side by side; returns the place for the player."""
    upload, record, player = st.columns(3, gap="medium")
    with upload:
        st.file_uploader(
            "Upload a voice",
            key=Key.CLIP_UPLOAD,
            on_change=_take,
            args=(Key.CLIP_UPLOAD,),
            max_upload_size=max(1, int(settings().max_clip_mb)),
            help="WAV, FLAC, OGG/Opus or MP3. It stays in this server's memory and is not kept unless you say so.",
        )
        _say_refusal(Key.CLIP_UPLOAD)
    with record:
        st.audio_input(
            "Record one",
            key=Key.CLIP_RECORD,
            sample_rate=SAMPLE_RATE,
            on_change=_take,
            args=(Key.CLIP_RECORD,),
            help="The browser asks for the microphone. The recording is not kept unless you say so.",
        )
        _say_refusal(Key.CLIP_RECORD)
    return player


def _take(key: Key) -> None:
    """Decode what was brought and choose it; on refusal the page stays on the clip it shows."""
    st.session_state.pop(_REFUSED, None)
    file = st.session_state[key]
    if file is None:
        return
    name = file.name if key is Key.CLIP_UPLOAD else f"Recording {time.strftime('%H:%M:%S')}"
    try:
        waveform = decoder().decode(file.getvalue(), name)
    except Refusal as error:
        st.session_state[_REFUSED] = (key, file.file_id, str(error))
        return
    clip = context.uploads().add(waveform, name)
    context.warn(clip.clip_id, waveform.warnings)
    context.desk().forget(clip)
    sources.show(UPLOADS, upload_label(clip))


def _say_refusal(key: Key) -> None:
    refused_by, file_id, sentence = st.session_state.get(_REFUSED, (None, None, ""))
    file = st.session_state.get(key)
    if refused_by == key and file is not None and file.file_id == file_id:
        st.error(sentence)


def play(chosen: Chosen) -> None:
    """Player, what is known of the clip, and what is to be said about its sound."""
    clip = chosen.clip
    seconds = f"{number(clip.n_samples / SAMPLE_RATE)} s" if chosen.kept else None
    known = [_plain(fact) for fact in (seconds, clip.label, clip.speaker, clip.session) if fact]
    st.markdown(f"<small>{' · '.join([f'**{_plain(clip.name)}**', *known])}</small>", unsafe_allow_html=True)
    if clip.transcript:
        short = textwrap.shorten(clip.transcript, _WORDS, placeholder=" …")
        cut = short != " ".join(clip.transcript.split())
        st.caption(f"“{_plain(short)}”", help=_plain(clip.transcript) if cut else None)
    if not chosen.kept:
        st.info("The audio of this clip was not kept. Its curves live on in the cache; upload it again to hear it.")
        return
    try:
        st.audio(encode_wav(context.sound(clip)), format="audio/wav", alt=f"The clip {clip.name}")
    except Refusal as error:
        st.error(str(error))
    for sentence in context.warnings(clip):
        st.warning(sentence)
    if clip.path is None and not context.uploads().is_kept(clip.clip_id):
        st.button(
            "Keep this clip",
            key=Key.CLIP_KEEP,
            on_click=_keep,
            args=(clip,),
            type="tertiary",
            icon=":material/bookmark_add:",
            help="Writes the audio into the cache folder, so that links to it keep their sound.",
        )


def _keep(clip: Clip) -> None:
    try:
        context.uploads().keep(clip.clip_id)
    except KeyError:
        st.toast("The audio has left memory meanwhile: upload it again.")
    except OSError as error:
        st.toast(f"The clip could not be written ({error.strerror}): check the cache folder.")
    else:
        st.toast("Kept.")


def _plain(text: str) -> str:
    """A file name as text: Markdown and HTML in it are not ours."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "\\`*_{}[]()#+-!|~$:" else c for c in escaped)


def passes(chosen: Chosen, models: tuple[ModelInfo, ...]) -> list[Pass]:
    """One pass a model, over the window that is chosen where the clip is longer."""
    start = _choose_window(chosen, models)
    return [Pass.over(model, chosen.clip, start) for model in models]


def _choose_window(chosen: Chosen, models: tuple[ModelInfo, ...]) -> int:
    """First sample of the window the models hear; it means nothing where the clip fits."""
    clip = chosen.clip
    window = min(model.shape.window_samples for model in models)
    if clip.n_samples <= window or not chosen.kept:
        return round(float(st.session_state.get(Key.START) or st.query_params.get(Key.START) or 0) * SAMPLE_RATE)
    total_s, window_s = clip.n_samples / SAMPLE_RATE, window / SAMPLE_RATE
    start_s = st.slider(
        f":material/content_cut: This clip lasts **{number(total_s)} s**, the models hear **{number(window_s)} s** "
        "at a time. Their window begins at (s):",
        min_value=0.0,
        max_value=round(total_s - window_s, 2),
        step=0.05,
        key=Key.START,
        bind="query-params",
    )
    figure = window_view(context.sound(clip), SAMPLE_RATE, start_s, window_s)
    st.plotly_chart(figure, key=Key.CLIP_WINDOW, config=CONFIG, alt=window_view_alt(total_s, start_s, window_s))
    return round(start_s * SAMPLE_RATE)
