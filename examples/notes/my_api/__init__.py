"""An API on Portico."""
