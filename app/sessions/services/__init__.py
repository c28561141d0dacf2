"""Services of sessions: rules and units of work. They import neither GraphQL nor HTTP."""
