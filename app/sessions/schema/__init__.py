"""GraphQL types and root fields of sessions."""
