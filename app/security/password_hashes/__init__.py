"""Password hashes: ours, and those that people bring from other systems."""
