"""The `portico` command, and the commands that belong to no module."""
