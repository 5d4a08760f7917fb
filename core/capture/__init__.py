"""Capture: one trace per batch turns into records. Torch lives here and in the engine."""
