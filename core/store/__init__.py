"""The activation cache: the contract between the engine, which fills it, and the analyses, which read it."""
