"""The audit: events, chains, checkpoints, integrity."""
