"""Modules for tests, named as modules outside are."""
