"""Password hashes: those that Portico makes, and those of other systems that it accepts."""
