"""`portico users`."""
