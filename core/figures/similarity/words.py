"""What is said of CKA on more than one chart, and on the page."""

import re

from core.analyses.cka_result import Kernel
from core.analyses.request import Variant
from core.figures.say import listed
from core.figures.similarity.rows import Estimator, estimators
from core.figures.theme import FROZEN_COLOR, Style
from core.figures.view import View

UNRELATED = "unrelated (permuted)"
NULL_STYLE = Style(FROZEN_COLOR, FROZEN_COLOR, "line-ew", "dot")
BANDS = "Shaded: 95 % intervals, one speaker left out at a time (jackknife; they can reach past 1)."
NULL = (
    "Grey: what unrelated features give, the same ones with the clips of one side shuffled 200 times "
    "(mean and middle 95 %)."
)
_RELEASED = (
    "Released: the four series of the authors' notebook, under the names of what they are. It draws the first as "
    "trained and the second as untrained activations, though neither is A with B."
)
_HEIGHT = (
    "The height alone says little: what B puts out is a linear image of what A puts out, so their CKA is high before "
    "any training."
)
_READ = "Read the gap between trained and untrained, and whether a line leaves the grey."
_ALONE = "Rows are this clip's own audio frames, and neighbouring frames are alike: no interval, no null band."

_CKA = (
    r"\mathrm{CKA}(X, Y) = \frac{\mathrm{HSIC}(K, L)}{\sqrt{\mathrm{HSIC}(K, K)\; \mathrm{HSIC}(L, L)}}, "
    r"\quad \mathrm{HSIC}(K, L) = "
)
_BIASED = r"\frac{\mathrm{tr}(K H L H)}{(n-1)^2}, \; H = I - \tfrac{1}{n} \mathbf{1} \mathbf{1}^\top"
_UNBIASED = (
    r"\frac{1}{n(n-3)} \Big( \mathrm{tr}(\tilde K \tilde L) + "
    r"\frac{1^\top \tilde K 1 \; 1^\top \tilde L 1}{(n-1)(n-2)} - \frac{2\; 1^\top \tilde K \tilde L 1}{n-2} \Big)"
)
_KERNEL = {
    "linear": r", \quad K = X X^\top",
    "rbf": r", \quad K_{ij} = e^{-\lVert x_i - x_j \rVert^2 / 2 m^2}",
    "released": r", \quad K_{ij} = e^{-\gamma \lVert x_i - x_j \rVert^2}",
}


def formula(variant: Variant, kernel: Kernel, *, unbiased: bool) -> str:
    """CKA with one estimator and kernel."""
    kernel_text = _KERNEL["released" if kernel == "rbf" and variant == "released" else kernel]
    return _CKA + (_UNBIASED if unbiased else _BIASED) + kernel_text


def estimator_note(variant: Variant, *, unbiased: bool) -> str:
    """What the estimator and the kernel mean."""
    kernel = (
        "RBF: γ = 1 / number of features, as the authors' code has it; flattened features are so many that it is "
        "nearly the linear kernel."
        if variant == "released"
        else "RBF: m is the median distance between clips."
    )
    if unbiased:
        text = "Unbiased HSIC (Song et al. 2012; the tilde is for a diagonal of 0): near 0 for unrelated features."
        return f"{text} It can be negative, and needs 4 clips. {kernel}"
    text = "Biased HSIC: with few clips and wide features near 1 even for unrelated ones, so look at the grey."
    return f"{text} It needs 3 clips, and falls as clips are added. {kernel}"


def unbiased(variant: Variant, estimator: Estimator) -> bool:
    """Whether this choice is the unbiased estimator."""
    return (variant == "corrected") != (estimator == "other")


def caution(view: View) -> str:
    """What can and can't be read from a height, on the page itself."""
    if view.total == 1:
        return f"{_ALONE} {_HEIGHT} Hold it against the untrained line."
    if view.variant == "released":
        return _RELEASED
    if not view.by:
        return f"{_HEIGHT} {_READ}"
    if view.variant == "corrected":
        return f"{_HEIGHT} Hold a group against the same one untrained."
    return f"{_HEIGHT} The biased estimator rises as clips get fewer: compare unequal groups in **corrected**."


def undefined(view: View, *endings: str) -> str:
    """Why what the notes call so is undefined: each reason once, with whom it is about; empty where nothing is.

    `endings` are the ends of the notes' subjects, as `A-B (linear)`.
    """
    found: dict[str, dict[str, None]] = {}
    for group, tables in view.tables.items() if view.done else ():
        for note in tables["cka"].notes if "cka" in tables else ():
            if note.about.endswith(endings):
                found.setdefault(note.reason, {})[group or note.about] = None
    return "  \n".join(f"{listed(list(who))}: {reason}" for reason, who in found.items())


def undefined_alignment(view: View, kernel: Kernel) -> str:
    """Of the series per module."""
    if view.variant == "released":
        return undefined(view, "A-A (linear)", "B-B (rbf)", "A-B (rbf)")
    return undefined(view, f"A-B ({kernel})")


def undefined_layers(view: View, estimator: Estimator) -> str:
    """Of the heatmaps."""
    kernel, name = re.split(", ", estimators(view.variant)[estimator].lower())
    return undefined(view, f"layers ({kernel}, {name})")
