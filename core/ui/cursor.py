"""One cursor for all charts of a page: where the mouse is in depth, a thin line shows in every panel over depth.

Plotly links panels of one figure at most, and Streamlit gives each chart a figure of its own; so a little script
listens to all of them. Charts over depth say so in their layout (`meta.depth`).
"""

import streamlit as st
from streamlit.components.v2 import component

_JS = """
export default function () {
  const KIND = "lorascope-cursor";
  const graphs = () => [...document.querySelectorAll(".js-plotly-plot")]
    .filter((one) => one._fullLayout && one.layout && one.layout.meta && one.layout.meta.depth);
  const clear = () => document.querySelectorAll("." + KIND).forEach((line) => line.remove());
  const draw = (at) => {
    clear();
    for (const graph of graphs()) {
      const box = graph.querySelector(".svg-container");
      for (const [name, axis] of Object.entries(graph._fullLayout)) {
        if (!/^xaxis\\d*$/.test(name) || !axis._mainAxis && !axis.domain) continue;
        const [low, high] = axis.range;
        const other = graph._fullLayout[axis.anchor === "y" ? "yaxis" : "yaxis" + String(axis.anchor).slice(1)];
        if (!other || at < low || at > high) continue;
        const line = document.createElement("div");
        line.className = KIND;
        line.style.cssText = `position:absolute;pointer-events:none;width:1px;background:rgba(128,128,128,.75);` +
          `left:${axis._offset + (at - low) / (high - low) * axis._length}px;top:${other._offset}px;` +
          `height:${other._length}px`;
        box.appendChild(line);
      }
    }
  };
  const listen = () => graphs().forEach((graph) => {
    if (graph.dataset.cursor) return;
    graph.dataset.cursor = "on";
    graph.on("plotly_hover", (event) => {
      const x = event.points[0].x;
      if (Number.isFinite(x)) draw(x);
    });
    graph.on("plotly_unhover", clear);
  });
  listen();
  const timer = setInterval(listen, 1000);  // charts come and go with the page
  return () => { clearInterval(timer); clear(); };
}
"""


def link() -> None:
    """Link the charts of this page."""
    _component()(key="cursor")


@st.cache_resource(show_spinner=False)
def _component():  # type: ignore[no-untyped-def]  # Streamlit names no public type for it
    return component("lorascope.cursor", js=_JS)
