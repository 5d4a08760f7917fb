"""What stands under the Clip page's figures: how to read each, and its formula in each variant (LaTeX for `st.latex`).

In the formulas h is the residual stream, F the chosen frames, head the projector and classifier, LN the encoder's
final layer norm. Definitions and variants: docs/analyses.md. The lens and its divergence are those of Ma, Sang, Li,
"Behind the Scenes", section 3.3; the saturation point follows Glazer et al. 2025.
"""

from core.analyses.request import Variant

HOW_TO_READ: dict[str, str] = {
    "trajectories": (
        "Each line is what the model's own classifier would say if it had to answer from that depth: point 0 is the "
        "input to the first layer, point n the output of layer n − 1. The separate markers at the right are the "
        "model's real answer; the dotted line is the point from which its most probable class no longer changes."
    ),
    "layer_class_heatmaps": (
        "The same numbers as the lines above: one row per class, one column per point of depth, brighter is more "
        "probable. The separate column at the right is the model's real answer."
    ),
    "audio_view": (
        "Time runs from left to right for all rows. In each model's row, the lowest line is the input and the highest "
        "the last layer; colour says what the classifier reads from that one frame at that depth. Hatched time is "
        "padding: the clip is over, but the model still sees frames there."
    ),
    "final_probabilities": "One dot per model in each class's row: the further right, the surer the model.",
    "kl_curves": (
        "How far the reading at each depth still is from the model's real answer: 0 means it is the same. "
        "The open diamond marks where the most probable class stops changing."
    ),
}

_FINAL = r"\pi = \mathrm{softmax}(\text{the model's own logits})"
_CHOICE = r"\hat{c}_l = \arg\max_c \pi_l(c), \quad \hat{c} = \arg\max_c \pi(c)"
_SETTLES = r"\text{settles at } \min \{ l : \hat{c}_k = \hat{c} \;\; \forall k \geq l \}"
_RAW = r"\pi_l = \mathrm{softmax}\Big(\tfrac{1}{|F|} \sum_{f \in F} \mathrm{head}(h_{l,f})\Big)"
_NORMED = r"\pi_l = \mathrm{softmax}\Big(\tfrac{1}{|F|} \sum_{f \in F} \mathrm{head}(\mathrm{LN}(h_{l,f}))\Big)"
_RAW_FRAME = r"\pi_{l,f} = \mathrm{softmax}(\mathrm{head}(h_{l,f}))"
_NORMED_FRAME = r"\pi_{l,f} = \mathrm{softmax}(\mathrm{head}(\mathrm{LN}(h_{l,f})))"
_FORWARD = r"D_{KL}(\pi_l \,\|\, \pi) = \sum_c \pi_l(c) \,\ln \frac{\pi_l(c)}{\pi(c)}"
_REVERSE = r"D_{KL}(\pi \,\|\, \pi_l) = \sum_c \pi(c) \,\ln \frac{\pi(c)}{\pi_l(c)}"


def _lines(*lines: str) -> str:
    """Formulas under each other: a phone is too narrow for two on one line."""
    return r"\begin{gathered}" + r" \\ ".join(lines) + r"\end{gathered}"


FORMULA: dict[str, dict[Variant, str]] = {
    "trajectories": {
        "published": _lines(_RAW, _FINAL, _CHOICE, _SETTLES),
        "released": _lines(_RAW, _FINAL, _CHOICE, _SETTLES),
        "corrected": _lines(_NORMED, _FINAL, _CHOICE, _SETTLES),
    },
    "layer_class_heatmaps": {
        "published": _lines(_RAW, _FINAL),
        "released": _lines(_RAW, _FINAL),
        "corrected": _lines(_NORMED, _FINAL),
    },
    "audio_view": {"published": _RAW_FRAME, "released": _RAW_FRAME, "corrected": _NORMED_FRAME},
    "final_probabilities": {"published": _FINAL, "released": _FINAL, "corrected": _FINAL},
    "kl_curves": {"published": _FORWARD, "released": _REVERSE, "corrected": _FORWARD},
}
