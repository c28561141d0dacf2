"""Test helpers, for Portico and for modules of other projects. Start with `fixtures`."""
