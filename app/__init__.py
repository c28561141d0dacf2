"""Portico, a GraphQL identity API."""
