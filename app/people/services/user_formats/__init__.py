"""Exports of other systems: how their files are read, and which fields are imported."""
