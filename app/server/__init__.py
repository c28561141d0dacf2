"""All that knows uvicorn: its protocol, limits of connections, shutdown and workers."""
