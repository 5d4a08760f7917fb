"""espeak-ng in this process, through ctypes: text in, samples and phone boundaries out.

In-process because its phoneme events give exact alignments for free and because a subprocess an utterance would
take most of the time. The library keeps global state: one `Espeak` a process.
"""

import ctypes
import ctypes.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import Refusal

# From espeak-ng's speak_lib.h (1.51).
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS = 0x0001
_INITIALIZE_DONT_EXIT = 0x8000
_PARAMETER_RATE, _PARAMETER_PITCH, _PARAMETER_RANGE = 1, 3, 4
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_EVENT_WORD, _EVENT_PHONEME = 1, 7


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class Phone:
    """One phone: espeak's mnemonic ("" is silence), where it starts (seconds), and its word (index and text).

    espeak runs small words together: the word can read "on the".
    """

    name: str
    start_s: float
    word: int
    text: str


@dataclass(frozen=True)
class Spoken:
    """What espeak said: float32 samples in [-1, 1], their rate in Hz, and the phones in order."""

    samples: NDArray[np.float32]
    rate: int
    phones: tuple[Phone, ...]


class Espeak:
    """The library, initialised once; use `espeak()` to get it."""

    def __init__(self) -> None:
        found = ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1"
        try:
            self._lib = ctypes.CDLL(found)
        except OSError as error:
            raise Refusal(
                f"Building the demo needs espeak-ng, and {found} does not load ({error}): "
                "install it with `apt-get install espeak-ng libespeak-ng1`."
            ) from error
        options = _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_DONT_EXIT
        self.rate = int(self._lib.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, None, options))
        if self.rate <= 0:
            raise Refusal("espeak-ng did not start: its voice data is missing; install the package espeak-ng-data.")
        path = ctypes.c_char_p()
        self._lib.espeak_Info(ctypes.byref(path))
        self._variants = Path((path.value or b"").decode()) / "voices" / "!v"
        self._audio: list[bytes] = []
        self._phones: list[Phone] = []
        self._text, self._word, self._word_text = "", 0, ""
        self._callback = _CALLBACK(self._on_audio)  # kept: ctypes would free it while the library still calls it
        self._lib.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, variant: str, words_per_minute: int = 170, pitch: int = 50) -> Spoken:
        """`text` in the English voice `en+variant`, on a monotone: the melody is drawn later.

        `en+variant` and not `en-gb+variant`, which 1.51 accepts while keeping the voice it had. It accepts
        variants that do not exist as well, so they are looked for on disk.
        """
        if not (self._variants / variant).is_file():
            raise RuntimeError(f"espeak-ng has no voice variant {variant!r} in {self._variants}")
        self._check(self._lib.espeak_SetVoiceByName(f"en+{variant}".encode()), f"voice en+{variant}")
        for parameter, value in (
            (_PARAMETER_RATE, words_per_minute),
            (_PARAMETER_PITCH, pitch),
            (_PARAMETER_RANGE, 0),
        ):
            self._check(self._lib.espeak_SetParameter(parameter, value, 0), f"parameter {parameter} = {value}")
        self._audio, self._phones = [], []
        self._text, self._word, self._word_text = text, 0, ""
        data = text.encode()
        status = self._lib.espeak_Synth(data, len(data) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
        self._check(status, f"text {text!r}")
        self._check(self._lib.espeak_Synchronize(), "synchronise")
        samples = np.frombuffer(b"".join(self._audio), dtype="<i2").astype(np.float32) / 32768.0
        if not samples.size or not self._phones:
            raise RuntimeError(f"espeak-ng said nothing for {text!r} in voice en+{variant}")
        return Spoken(samples, self.rate, tuple(self._phones))

    def _on_audio(self, wav, count, events) -> int:  # type: ignore[no-untyped-def]  # ctypes pointers
        if wav and count > 0:
            self._audio.append(ctypes.string_at(wav, 2 * count))
        i = 0
        while events and events[i].type != 0:
            event = events[i]
            if event.type == _EVENT_WORD:
                self._word += 1
                start = event.text_position - 1  # counted in characters, from 1
                self._word_text = self._text[start : start + event.length]
            elif event.type == _EVENT_PHONEME:
                name = event.id.string.decode("utf-8", "replace")
                self._phones.append(Phone(name.lstrip("_:"), event.sample / self.rate, self._word, self._word_text))
            i += 1
        return 0

    @staticmethod
    def _check(status: int, what: str) -> None:
        if status != 0:
            raise RuntimeError(f"espeak-ng refused {what} (status {status})")


@lru_cache(maxsize=1)
def espeak() -> Espeak:
    """The one instance of this process."""
    return Espeak()
