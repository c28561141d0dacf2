"""GraphQL types and fields of notes."""
