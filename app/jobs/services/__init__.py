"""What jobs can do: rules and units of work. Knows neither GraphQL nor HTTP."""
