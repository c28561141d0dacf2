"""Words for clients: the schema, and nothing that knows SQL."""
