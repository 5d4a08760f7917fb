"""A clip's sound, wherever it lies."""

from collections.abc import Callable

import numpy as np

from core.audio.decoder import Decoder
from core.corpora.clip import Clip
from core.corpora.uploads import Uploads
from core.errors import Refusal


def samples_reader(decoder: Decoder, uploads: Uploads) -> Callable[[Clip], np.ndarray]:
    """A function from clip to its 16 kHz mono float32 samples; it raises Refusal where the sound is gone or changed."""

    def read(clip: Clip) -> np.ndarray:
        if clip.path is None:
            samples = uploads.samples(clip.clip_id)
            if samples is None:
                raise Refusal(f"The sound of {clip.name} was not kept: upload it again.")
            return samples
        waveform = decoder.decode_file(clip.path)
        if waveform.clip_id != clip.clip_id:
            raise Refusal(f"{clip.path} changed since it was listed: list the clips again.")
        return waveform.samples

    return read
