"""Keys of all widgets and charts. Where a widget is bound to the address, its key is also the parameter's name."""

from enum import StrEnum


class Key(StrEnum):
    """Tests and outside checks find elements by these; `clip_upload` and `clip_lens` are promised to them."""

    # the same everywhere
    MODELS = "models"
    REFERENCE = "reference"
    SOURCE = "source"
    SESSION = "session"  # this and the next two also name the field they filter by
    SPEAKER = "speaker"
    EMOTION = "emotion"
    VARIANT = "variant"
    FRAMES = "frames"
    # Clip page: which clip
    CLIP = "clip"
    START = "start"
    CLIP_UPLOAD = "clip_upload"
    CLIP_RECORD = "clip_record"
    CLIP_KEEP = "clip_keep"
    CLIP_DEMO = "clip_demo"
    CLIP_FIRST = "clip_first"
    FILTERS_DROP = "filters_drop"
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


# What narrows a source to a slice, each within what those before it leave.
FILTERS = (Key.SESSION, Key.SPEAKER, Key.EMOTION)
# Kept when switching pages. Models come last: there can be several, and core/ui/links.py tells them by that.
CARRIED = (Key.REFERENCE, Key.SOURCE, *FILTERS, Key.CLIP, Key.VARIANT, Key.FRAMES, Key.MODELS)
