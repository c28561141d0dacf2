"""The commands of `portico`, one file per area."""
