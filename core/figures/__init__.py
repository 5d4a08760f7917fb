"""Figures: a result in, a Plotly figure out, nothing else."""
