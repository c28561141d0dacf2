"""Users: the table, its row, the GraphQL type, and the viewer."""
