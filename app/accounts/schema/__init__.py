"""GraphQL types and root fields of accounts."""
