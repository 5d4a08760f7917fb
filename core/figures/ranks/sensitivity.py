"""How much more rank changes each emotion's separation: the paper's claim (section 3.4) on these data."""

import numpy as np
import plotly.graph_objects as go

from core.figures.curves import interval
from core.figures.drawing import Drawing
from core.figures.layout import AXIS, apply_layout
from core.figures.ranks.verdicts import CLAIM, claim, extremes, sensitivities
from core.figures.theme import RULE, emotion_style
from core.figures.view import View

_ROW = 34  # pixels


def sensitivity(view: View) -> Drawing:
    """Mean silhouette gained from the lowest to the highest rank, an emotion a row, in the order the paper claims.

    At least two adapters must be there.
    """
    ends = extremes(view.models)
    assert ends is not None
    lower, higher = ends
    found = sensitivities(view)
    names = list(found) or list(CLAIM)
    fig = go.Figure()
    fig.add_vline(x=0, line={"color": RULE, "width": 1}, layer="below")
    for place, name in enumerate(names):
        row = found.get(name)
        value, low, high = (
            np.nan if row is None or one is None else one
            for one in ((row.value, row.ci_low, row.ci_high) if row else (None, None, None))
        )
        style = emotion_style(name)
        fig.add_scatter(
            x=[value],
            y=[place],
            mode="markers",
            marker={"symbol": style.symbol, "color": style.color, "size": 12, "line": {"color": style.edge}},
            error_x={"array": [high - value], "arrayminus": [value - low], "color": style.edge, "width": 5},
            customdata=[f"<b>{name}</b><br>{interval(value, low, high)}"],
            hovertemplate="%{customdata}<extra></extra>",
            showlegend=False,
        )
    fig.update_xaxes(title={"text": f"silhouette, {higher.name} − {lower.name}"})
    fig.update_yaxes(range=[len(names) - 0.5, -0.5], tickvals=list(range(len(names))), ticktext=names, showgrid=False)
    left = 24 + 8 * max(len(name) for name in names)
    apply_layout(fig, 8 + _ROW * len(names) + AXIS, legend_rows=0, top=4, left=left, right=16)
    return Drawing(
        fig,
        {"": view.table("ranks").pick(statistic="rank_sensitivity")},
        f"Rank sensitivity of each emotion. {claim(view)}",
        "Right of zero: more rank pulls clips of this emotion together and away from others. From top to bottom is the "
        "order that the paper claims, least sensitive first: there, points would move right from row to row. "
        "Barred: 95 % intervals of the mean over the emotion's clips.",
        r"\frac{1}{n_e} \sum_{i:\, y_i = e} \; \frac{1}{M} \sum_{\text{modules}} "
        r"\big( s_i^{\text{high}} - s_i^{\text{low}} \big)",
        "The paper shows its claim in pictures and gives no measure; this is ours: each clip's silhouette in the space "
        "of A's outputs, highest rank minus lowest, averaged over modules.",
    )
