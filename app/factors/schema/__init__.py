"""GraphQL types and root fields of second factors."""
