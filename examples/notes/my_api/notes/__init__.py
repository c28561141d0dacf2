"""Notes that people keep for themselves."""
