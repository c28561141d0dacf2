"""Passwords, tokens, keys and MACs: pure functions and classes, no SQL."""
