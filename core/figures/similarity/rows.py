"""Which rows each series and each heatmap is, in each variant."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.analyses.cka_result import Kernel
from core.analyses.request import Variant
from core.analyses.tidy import Curve, Table
from core.figures.adapters import modules, untrained
from core.figures.view import View
from core.models.info import ModelInfo

Estimator = Literal["own", "other", "rbf"]
KERNELS: dict[Kernel, str] = {"linear": "linear kernel", "rbf": "RBF kernel"}


@dataclass(frozen=True)
class Series:
    """CKA in every module of an adapter, or where `untrained` of its counterpart.

    `against` says that an adapter's A (or B) is held against the counterpart's, not A against B. `gradient` says which
    row of panels it is in.
    """

    name: str
    component: str
    statistic: str
    gradient: bool = False
    untrained: bool = False
    against: bool = False

    def of(self, model: ModelInfo) -> str:
        """The rows' name of whose series it is."""
        return untrained(model) if self.untrained else model.name

    def rows(self, view: View, model: ModelInfo, target: str, group: str = "") -> Table:
        """Its rows in the modules of one target, the null band's among them."""
        return view.table("cka", group).pick(
            model=self.of(model),
            versus=untrained(model) if self.against else None,
            component=self.component,
            statistic=(self.statistic, f"{self.statistic}_null"),
            module=modules(model, target),
        )

    def curve(self, rows: Table) -> Curve:
        """The series itself out of its rows."""
        return rows.curve(statistic=self.statistic)

    def null(self, rows: Table) -> Curve:
        """What it would be if the two had nothing to do with each other."""
        return rows.curve(statistic=f"{self.statistic}_null")


def series(variant: Variant, kernel: Kernel) -> dict[str, Series]:
    """All of them by what the address calls them.

    `released` has the four of the authors' notebook, each under one kernel: what that draws as trained and untrained
    activations goes by those names in the address, and says here what it is.
    """
    if variant == "released":
        return {
            "activations": Series("trained A with untrained A (linear)", "A-A", "cka", against=True),
            "activations_untrained": Series("trained B with untrained B (RBF)", "B-B", "cka", against=True),
            "gradients": Series("gradients of B and A (RBF)", "A-B", "grad_cka", gradient=True),
            "gradients_untrained": Series(
                "gradients of B and A (RBF), untrained", "A-B", "grad_cka", gradient=True, untrained=True
            ),
        }
    cka = "cka" if kernel == "linear" else "cka_rbf"
    return {
        "activations": Series("trained", "A-B", cka),
        "activations_untrained": Series("untrained", "A-B", cka, untrained=True),
        "gradients": Series("trained", "A-B", f"grad_{cka}", gradient=True),
        "gradients_untrained": Series("untrained", "A-B", f"grad_{cka}", gradient=True, untrained=True),
    }


def estimators(variant: Variant) -> dict[Estimator, str]:
    """What the heatmaps can be computed with; RBF comes with the variant's own estimator only."""
    own, other = ("unbiased", "biased") if variant == "corrected" else ("biased", "unbiased")
    return {"own": f"linear, {own}", "other": f"linear, {other}", "rbf": f"RBF, {own}"}


def layers_statistic(variant: Variant, estimator: Estimator) -> str:
    """The rows' name of a heatmap."""
    other = "biased" if variant == "corrected" else "unbiased"
    return {"own": "cka_layers", "other": f"cka_layers_{other}", "rbf": "cka_layers_rbf"}[estimator]


def y_range(*tables: Table) -> tuple[float, float] | None:
    """The y axis fits what is known; while nothing is, 0 to 1, or it would show numbers that mean nothing."""
    return None if any(np.isfinite(table.columns["value"]).any() for table in tables) else (0.0, 1.0)
