"""Portico, a GraphQL identity API. `app.main` builds the application."""
