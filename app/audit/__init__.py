"""The audit: events, chains, checkpoints, verification, retention."""
