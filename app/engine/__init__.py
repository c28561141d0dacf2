"""Executes GraphQL: documents, limits, plans, errors. Knows no people and no HTTP."""
