"""Traces, metrics and logs by OTLP. What sends them is loaded where the environment asks for it."""
