"""GraphQL over HTTP and what else the server answers: headers, status codes, bodies."""
