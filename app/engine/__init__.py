"""Executes GraphQL: documents, limits, plans, errors. README.md explains it."""
