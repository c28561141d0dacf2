"""Connections as libpq describes them: a URI, its parameters, password files and TLS."""
