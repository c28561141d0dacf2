"""Everything that depends on uvicorn: protocol, connection limits, shutdown and workers."""
