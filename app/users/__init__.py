"""Users: the table, its row, the GraphQL type, and who calls."""
