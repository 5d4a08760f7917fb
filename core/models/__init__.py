"""Models: the registry, what each checkpoint is, and loading them."""
