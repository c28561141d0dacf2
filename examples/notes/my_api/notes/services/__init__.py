"""What people can do with notes. Knows neither GraphQL nor HTTP."""
