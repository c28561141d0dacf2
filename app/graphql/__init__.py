"""What the GraphQL schemas of modules are written with. Nothing here knows SQL."""
