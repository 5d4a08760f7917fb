"""Training adapters and heads that the registry takes as they are."""
