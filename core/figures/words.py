"""Words that pages, report and help texts share: the question of each analysis, the variants, and what the demo is."""

from collections.abc import Mapping

from core.analyses.request import Variant

QUESTIONS = {  # by analysis
    "contributions": "Where in depth does LoRA write, and how strongly?",
    "lens": "At which depth does each model know its answer, and is it right?",
    "spectra": "How many directions do adapters use, forward and backward?",
    "cka": "Do A and B move together, and which depths are alike?",
    "ranks": "What does more rank buy?",
    "causal": "Which layers' LoRA does the model need?",
}
VARIANTS: Mapping[Variant, str] = {
    "published": "the paper's formulas (Ma, Sang, Li 2025) as written. The lens reads the raw residual stream, without "
    "the encoder's final layer norm; KL is D(point ‖ model); CKA is biased HSIC over features flattened over all "
    "frames.",
    "released": "what the authors' code computes, quirks included. KL runs the other way, D(model ‖ point), and CKA's "
    "series are the notebook's own, under their true names.",
    "corrected": "what we recommend. The final layer norm comes first, so that over all frames the last point is "
    "exactly the model's own answer; CKA is unbiased, over averages of the frames with sound; an untrained adapter "
    "keeps the trained head.",
}
SYNTHETIC = "Synthetic demo"
SYNTHETIC_HELP = (
    "Small models in the real formats, trained on computer-made speech. They show what "
    "LoRAscope does and say nothing about people's emotions. Details: `demo/MODEL_CARD.md` and `demo/DATA_CARD.md`."
)
