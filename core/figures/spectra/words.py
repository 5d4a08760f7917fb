"""What is said of the spectra on more than one chart, and on the page."""

from core.analyses.request import Variant
from core.emotions import class_index
from core.figures.adapters import adapters
from core.figures.layout import number
from core.figures.view import View

BANDS = "Shaded or barred: 95 % intervals, one speaker left out at a time (jackknife)."
WIDE = "B's gradients are as wide as their projection and kept as one sum over all clips: they have no interval."
NO_CLIPS = "These come from the weights alone: no clip is needed, and there is no interval."

COMPARED = """
- **Untrained** is the same base with the same adapter config, and A and B drawn from N(0, 0.02²). PEFT's own start
  would not do: there B is 0, and 0 has no spectrum.
- **Gradients** are of each clip's own loss for its own label, and every clip counts once. A clip without a label among
  the model's classes takes the class that the model predicts.
- **B gradients** have no interval. They are as wide as the projection, so only one sum over all clips is kept, and
  leaving a speaker out would take another backward pass over everything.
- **A and B** are not independent: what B puts out is a linear image of what A puts out.
"""


def counterpart(variant: Variant) -> str:
    """What the untrained counterpart is in this variant."""
    head = "the trained head" if variant == "corrected" else "the base's own head (drawn where it has none)"
    return f"Untrained: A and B drawn from N(0, 0.02²), one seed, under {head}."


def unlabelled(view: View) -> str:
    """Whose gradients they are where there are no labels; empty where every clip has one."""
    count = {sum(class_index(clip.label, model.labels) is None for clip in view.clips) for model in adapters(view)} - {
        0
    }
    if not count:
        return ""
    most = max(count)
    which = "The clips have" if most == len(view.clips) else f"{number(most) if most >= 1000 else most} clips have"
    return (
        f"{which} no label among the models' classes: their gradients are of the loss for each model's own prediction."
    )
