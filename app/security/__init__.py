"""Secrets and who may do what: pure, no SQL."""
