"""Analyses: records in, a small result out. Pure numpy; never a model, never streamlit."""
