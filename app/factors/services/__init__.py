"""Services of factors: rules and units of work. They import neither GraphQL nor HTTP."""
