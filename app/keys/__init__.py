"""Signing keys, and the secrets that seal them."""
