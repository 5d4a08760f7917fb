"""PNG and SVG of a chart as the browser shows it, made by the browser: nothing to install, nothing to send.

Plotly draws the picture itself when its own camera button is pressed. That button can do one format, is hidden by our
style, and gives a see-through background; so ours set format, name and background, and press it.
"""

import streamlit as st
from streamlit.components.v2 import component

_HTML = """<div class="row"><button data-format="png">PNG</button><button data-format="svg">SVG</button></div>"""
_CSS = """
.row { display: flex; gap: 0.5rem; }
button { flex: 1; font: inherit; font-size: 0.875rem; cursor: pointer; color: var(--st-text-color);
  padding: 0.35rem 0.75rem; border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius, 0.4rem);
  background: var(--st-background-color); }
button:hover, button:focus-visible { border-color: var(--st-primary-color); color: var(--st-primary-color); }
"""
_JS = """
export default function ({ data, parentElement }) {
  const press = (event) => {
    const graph = document.querySelector(`.st-key-${data.chart} .js-plotly-plot`);
    const camera = graph && graph.querySelector('.modebar-btn[data-attr="toImage"], .modebar-btn');
    if (!camera) return;
    const options = graph._context.toImageButtonOptions;
    Object.assign(options, { format: event.target.dataset.format, filename: data.filename, scale: 2 });
    const layout = graph.layout, before = [layout.paper_bgcolor, layout.plot_bgcolor];
    const page = getComputedStyle(document.querySelector(".stApp")).backgroundColor;
    layout.paper_bgcolor = layout.plot_bgcolor = page;
    camera.click();
    [layout.paper_bgcolor, layout.plot_bgcolor] = before;
  };
  const buttons = parentElement.querySelectorAll("button");
  buttons.forEach((button) => { button.onclick = press; });
}
"""


def buttons(chart: str, filename: str) -> None:
    """Two buttons that save the chart with the key `chart` under `filename`."""
    _component()(key=f"image_{chart}", data={"chart": chart, "filename": filename})


@st.cache_resource(show_spinner=False)
def _component():  # type: ignore[no-untyped-def]  # Streamlit names no public type for it
    return component("lorascope.image", html=_HTML, css=_CSS, js=_JS)
