"""The little CSS that Streamlit's theme has no setting for."""

CSS = """<style>
/* the controls under a chart stay quiet */
[class*="st-key-quiet_"] { gap: 0 0.25rem; margin-top: -0.75rem; }
[class*="st-key-quiet_"] button { min-height: 1.75rem; padding: 0 0.5rem; opacity: 0.75; }
[class*="st-key-quiet_"] button:hover, [class*="st-key-quiet_"] button:focus-visible { opacity: 1; }
[class*="st-key-quiet_"] button p { font-size: 0.8125rem; }
/* Plotly's own buttons are only pressed by ours (core/ui/image.py) */
.modebar-container { display: none; }
/* three variants on one line of the sidebar */
[data-testid="stSidebar"] [data-testid="stButtonGroup"] button { padding: 0 0.25rem; min-height: 2rem; }
[data-testid="stSidebar"] [data-testid="stButtonGroup"] button p { font-size: 0.8125rem; }
[data-testid="stSidebar"] [data-testid="stSidebarHeader"] { padding-bottom: 0; height: 3rem; }
/* a slice on two lines; what is chosen can be cleared, and needs the arrow's room */
.st-key-filters, .st-key-filters [data-testid="stHorizontalBlock"] { gap: 0.5rem; }
.st-key-filters input { font-size: 0.8125rem; }
.st-key-filters button[aria-label="Clear value"] + button { display: none; }
.st-key-about_source { margin: -0.75rem 0; }
.st-key-about_source button { padding: 0; opacity: 0.75; }
.st-key-about_source button p { font-size: 0.8125rem; }
/* what was found in a clip stands under its link */
.st-key-other_looks a { padding-left: 0; }
/* uploader as high as the recorder beside it */
.st-key-clip_upload section:has([data-testid="stFileUploaderDropzoneInstructions"]) {
  flex-direction: row; align-items: center; min-height: 4.25rem; padding: 0.5rem 0.75rem;
}
/* the one link that looks like a button; white on the light theme's primary colour is 5.9:1 */
.st-key-first_look a { background: #4a5cc4; border-radius: 0.4rem; padding: 0.45rem 0.9rem; }
.st-key-first_look a:hover, .st-key-first_look a:focus-visible { background: #3a4ab0; }
.st-key-first_look a * { color: #ffffff; }
/* the slider lies on the waveform it moves over */
.st-key-clip_window { margin-top: -2rem; }
.st-key-start [data-testid="stSliderTickBar"] { display: none; }
/* room for the answer, so that the chart stays where it is when it comes */
.st-key-answer { min-height: 4.75rem; }
.st-key-viewport, .st-key-cursor { position: absolute; }
/* what a study is about and, while it goes on, how far it is: room for a button */
.st-key-scope { min-height: 2.5rem; }
[data-testid="stMainBlockContainer"] { max-width: 1500px; padding-top: 3.25rem; }
@media (max-width: 640px) {
  [data-testid="stMainBlockContainer"] { padding-left: 1rem; padding-right: 1rem; }
  .st-key-answer { min-height: 8.5rem; }
  .st-key-scope { min-height: 5.5rem; gap: 0; align-content: start; }
}
</style>"""
