"""Traces, metrics and logs by OTLP. The exporters are loaded only if the environment asks."""
