"""What people can do. Knows neither GraphQL nor HTTP."""
