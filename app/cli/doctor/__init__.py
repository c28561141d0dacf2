"""`portico doctor`: read-only checks of a set-up, and their findings."""
