"""Limits on what is tried."""
