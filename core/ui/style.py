"""The little CSS that Streamlit's theme has no setting for."""

CSS = """<style>
/* the controls under a chart stay quiet */
[class*="st-key-quiet_"] { gap: 0 0.25rem; margin-top: -0.75rem; }
[class*="st-key-quiet_"] button { min-height: 1.75rem; padding: 0 0.5rem; opacity: 0.75; }
[class*="st-key-quiet_"] button:hover, [class*="st-key-quiet_"] button:focus-visible { opacity: 1; }
[class*="st-key-quiet_"] button p { font-size: 0.8125rem; }
/* Plotly's own buttons are only pressed by ours (core/ui/image.py) */
.modebar-container { display: none; }
.st-key-viewport { position: absolute; }
[data-testid="stMainBlockContainer"] { max-width: 1500px; padding-top: 3.25rem; }
@media (max-width: 640px) {
  [data-testid="stMainBlockContainer"] { padding-left: 1rem; padding-right: 1rem; }
}
</style>"""
