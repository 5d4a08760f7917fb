"""Sound files to `Waveform`: limits, refusals, and the process that may die decoding them."""
