"""GraphQL types and root fields of people."""
