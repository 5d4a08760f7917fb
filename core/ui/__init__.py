"""The only streamlit imports inside core: shared setup, sidebar, widget keys, charts, jobs."""
