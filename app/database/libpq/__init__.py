"""Connection parameters as libpq reads them: URIs, environment variables, password files, TLS."""
