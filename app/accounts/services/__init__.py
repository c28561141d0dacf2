"""Services of accounts: rules and units of work. They import neither GraphQL nor HTTP."""
