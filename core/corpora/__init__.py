"""Clip sources: where clips come from and what is known of each."""
