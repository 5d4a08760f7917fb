"""Keys of all widgets and charts. Where a widget is bound to the address, its key is also the parameter's name."""

from enum import StrEnum


class Key(StrEnum):
    """Tests and outside checks find elements by these; `clip_upload` and `clip_lens` are promised to them."""

    # the same everywhere
    MODELS = "models"
    REFERENCE = "reference"
    SOURCE = "source"
    FOLD = "fold"  # this and the next four also name the field they filter by
    SPLIT = "split"
    SESSION = "session"
    SPEAKER = "speaker"
    EMOTION = "emotion"
    BALANCED = "balanced"  # which of them: so many of each class,
    LIMIT = "limit"  # or at most so many where there are no labels,
    SEED = "seed"
    ONLY = "only"  # or one alone
    BY = "by"
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
    # pages about many clips
    CONTINUE = "continue"
    CANCEL = "cancel"
    STATISTIC = "statistic"
    COMPONENT = "component"
    DIFFERENCE = "difference"
    KERNEL = "kernel"
    TARGET = "target"
    SERIES = "series"  # of a split: activations or gradients, trained or untrained
    UNRELATED = "unrelated"
    ESTIMATOR = "estimator"
    ROWS = "rows"  # the two models of a heatmap
    COLUMNS = "columns"
    CURVE = "curve"
    GROUP = "group"
    CLIPS_MODEL = "clips_model"
    CLIPS_POINT = "clips_point"
    EVERY = "every"  # module's own curve
    KIND = "kind"  # of a split: A's or B's activations or gradients
    MEASURE = "measure"
    LOOK = "look"  # at the weights, or at what causes what
    DIRECTIONS = "directions"
    PAIR = "pair"
    MAP = "map"  # how many numbers a clip become two
    PICKED = "picked"  # clips drawn around, where they are few
    UNPICK = "unpick"
    OF = "of"  # all clips, or those of one emotion
    COMPARE = "compare"
    RETRY_MORE = "retry_more"
    MODEL = "model"  # the one that is looked at,
    SWITCHES = "switches"  # how its LoRA is switched layer by layer,
    PAIRS = "pairs"  # between which runs is patched,
    PARTNER = "partner"  # with which clip,
    SPAN = "span"  # of what time (s),
    SPAN_CLEAR = "span_clear"
    BESIDE = "beside"  # and what is shown beside the shares
    DIAL = "dial"  # gains of all layers; a layer's slider has its number behind it
    CUT = "cut"  # of each module's update: ranks kept
    DIAL_LAYER = "dial_layer"
    DIAL_SET = "dial_set"  # of the buttons, each with its name behind it
    # Models page
    ASPECT = "aspect"
    CHECKPOINT = "checkpoint"
    ONE = "one"  # of two that are compared,
    OTHER = "other"
    ADD_KIND = "add_kind"
    ADD_PLACE = "add_place"
    ADD_BASE = "add_base"
    ADD_NAME = "add_name"
    ADD_GROUP = "add_group"
    ADD_LABELS = "add_labels"
    ADD = "add"
    REMOVE_NAME = "remove_name"
    REMOVE = "remove"
    UNDO = "undo"
    VERIFY = "verify"
    PRUNE = "prune"
    PRUNE_TO = "prune_to"
    # charts
    TRAINING = "training"
    CONTRIBUTIONS = "contributions"
    NORMS = "norms"
    PADDED = "padded"
    ALIGNMENT = "alignment"
    CKA_LAYERS = "cka_layers"
    CKA_REFERENCE = "cka_reference"
    LENS = "lens"
    TRAJECTORIES = "trajectories"
    CONVERGENCE = "convergence"
    SPECTRA = "spectra"
    EFFICIENCY = "efficiency"
    SV90 = "sv90"
    SPECTRA_DEPTH = "spectra_depth"
    WEIGHTS = "weights"
    RANK_MAPS = "rank_maps"
    SEPARATION = "separation"
    SENSITIVITY = "sensitivity"
    SCORES = "scores"
    CAUSAL_LAYERS = "causal_layers"
    ERASURE = "erasure"
    TRUNCATION = "truncation"
    PATCHING = "patching"
    PATCHED = "patched"
    SPAN_WAVE = "span_wave"
    DIAL_LENS = "dial_lens"
    DIAL_FINAL = "dial_final"
    DIAL_WRITE = "dial_write"
    CLIP_LENS = "clip_lens"
    CLIP_FINAL = "clip_final"
    CLIP_KL = "clip_kl"
    CLIP_FRAMES = "clip_frames"
    CLIP_HEATMAP = "clip_heatmap"
    CLIP_WINDOW = "clip_window"


# What narrows a source to a slice, each within what those before it leave.
FILTERS = (Key.FOLD, Key.SPLIT, Key.SESSION, Key.SPEAKER, Key.EMOTION)
# What is a number, and what it is where nothing is said.
NUMBERS = {Key.BALANCED: 25, Key.LIMIT: 100, Key.SEED: 0}
# What the pages about many clips are about; the Clip page keeps it for them.
SAMPLE = (*NUMBERS, Key.ONLY, Key.BY)
# Kept when switching pages. Models come last: there can be several, and core/ui/links.py tells them by that.
CARRIED = (Key.REFERENCE, Key.SOURCE, *FILTERS, *SAMPLE, Key.CLIP, Key.VARIANT, Key.FRAMES, Key.MODELS)
