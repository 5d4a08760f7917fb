"""Keys of all widgets and charts. Where a widget is bound to the address, its key is also the parameter's name."""

from enum import StrEnum


class Key(StrEnum):
    """Tests and outside checks find elements by these; `clip_upload` and `clip_lens` are promised to them."""

    # the same everywhere
    MODELS = "models"
    REFERENCE = "reference"
    SOURCE = "source"
    VARIANT = "variant"
    FRAMES = "frames"
    # Clip page: which clip
    CLIP = "clip"
    START = "start"
    CLIP_UPLOAD = "clip_upload"
    CLIP_RECORD = "clip_record"
    CLIP_KEEP = "clip_keep"
    CLIP_DEMO = "clip_demo"
    RETRY = "retry"
    # Clip page: what is shown of it
    READING = "reading"
    PADDING = "padding"
    # charts
    CLIP_LENS = "clip_lens"
    CLIP_FINAL = "clip_final"
    CLIP_KL = "clip_kl"
    CLIP_FRAMES = "clip_frames"
    CLIP_HEATMAP = "clip_heatmap"
    CLIP_WINDOW = "clip_window"


# Kept when switching pages.
CARRIED = (Key.MODELS, Key.REFERENCE, Key.SOURCE, Key.CLIP, Key.VARIANT, Key.FRAMES)
