"""Services of administration: rules and units of work. They import neither GraphQL nor HTTP."""
