"""Services of users: rows, input checks and the viewer. They import neither GraphQL nor HTTP."""
