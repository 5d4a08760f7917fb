"""The leakage audit: what one checkpoint's training has in common with the sidebar's clips."""

import streamlit as st

from core.evaluation.verdicts import Level
from core.ui.keys import Key
from core.ui.models_page.known import Known, reading
from core.ui.sources import grouped

_ICON = {
    Level.LEAK: ":red[:material/error:]",
    Level.NOTE: ":orange[:material/info:]",
    Level.CLEAN: ":green[:material/check_circle:]",
    Level.UNKNOWN: ":gray[:material/help:]",
}


def draw(known: Known) -> None:
    """Choose a checkpoint; one sentence for each way in which it could have seen the clips."""
    names = [model.name for model in known.models.models]
    if not names:
        st.info("No model can be used: add one, or mend what is refused.")
        return
    name = st.selectbox("Checkpoint", names, key=Key.CHECKPOINT, bind="query-params")
    if known.problem:
        return  # the top of the page says it
    if known.reading is not None:
        reading(known.reading)
        return
    if known.unusable:
        first = known.unusable[0]
        st.warning(f"{grouped(len(known.unusable))} of the clips can't be read. {first.name}: {first.reason}")
    if not known.clips:
        st.info("There are no clips to hold it against: choose some in the sidebar.")
        return
    for verdict in known.verdicts(known.models.named(name)):
        st.markdown(f"{_ICON[verdict.level]} {verdict.text}")
    st.caption(
        "Clips are compared by their sound, whatever the files are called; speakers are the true ones, not the letter "
        "in a dialog's name. The same script acted by other voices is noted, and is no leak by itself."
    )
