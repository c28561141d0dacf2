"""What users can do with notes. Knows neither GraphQL nor HTTP."""
