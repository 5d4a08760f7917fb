"""What there is to say of a model in a line each: its configuration, from its files and its manifest."""

from core.evaluation.history import History
from core.figures.layout import number
from core.figures.say import spans
from core.models.files import read_json
from core.models.info import ModelInfo
from core.models.registry import Entry

_SAID = {"rank", "alpha", "dropout", "targets", "layers"}  # of a recipe: what the adapter itself says


def alpha(model: ModelInfo) -> str:
    """The adapter's alpha as its config says."""
    config = read_json(model.files.adapter_config) if model.files.adapter_config else {}
    found = config.get("lora_alpha")
    return f"{found:g}" if isinstance(found, int | float) else ""


def ranks(model: ModelInfo) -> str:
    """`32`; all of them where modules differ."""
    return ", ".join(map(str, sorted({module.rank for module in model.lora})))


def targets(model: ModelInfo) -> str:
    """`q_proj, v_proj`."""
    return ", ".join(dict.fromkeys(module.target for module in model.lora))


def layers(model: ModelInfo) -> str:
    """`all 8`, or `layers 0 to 3 of 8`."""
    adapted = sorted({module.layer for module in model.lora})
    if not adapted:
        return ""
    total = model.shape.layers
    return f"all {total}" if len(adapted) == total else f"{spans('layer', adapted)} of {total}"


def settings_of(model: ModelInfo, entry: Entry, history: History | None) -> dict[str, str]:
    """The configuration by setting. Equal words mean equal settings; what does not apply is empty."""
    config = read_json(model.files.adapter_config) if model.files.adapter_config else {}
    shape = model.shape
    found = {
        "role": model.role.value,
        "group": model.group,
        "base": entry.base,
        "base revision": entry.revision or "",
        "base fingerprint": model.base_fingerprint[:12],
        "adapter": entry.adapter or "",
        "head": entry.head or "",
        "rank": ranks(model),
        "alpha": alpha(model),
        "rank-stabilised": "yes" if config.get("use_rslora") else "",
        "LoRA dropout": f"{config['lora_dropout']:g}" if config.get("lora_dropout") else "",
        "targets": targets(model),
        "adapted": layers(model),
        "classes": ", ".join(model.labels),
        "parameters": f"{model.parameters:,}".replace(",", "\u2009"),
        "encoder layers": str(shape.layers),
        "encoder width": str(shape.width),
        "mel bins": str(shape.mel_bins),
        "window": f"{number(shape.window_samples / shape.sampling_rate)} s",
        "head sees": "a weighted sum of all layers" if model.weighted_layer_sum else "the last layer",
        "fingerprint": model.fingerprint[:12],
    }
    if history is not None:
        how = {name: value for name, value in history.recipe.items() if name not in _SAID}
        found |= {f"trained: {name.replace('_', ' ')}": _word(value) for name, value in how.items()}
        found |= {"trained: seed": str(history.manifest.seed), "trained: folds": history.manifest.scheme}
    return found


def _word(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
