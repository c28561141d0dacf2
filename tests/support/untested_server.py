"""`portico serve` with other versions of uvicorn and httptools than it is tested with.

Its arguments are a port and a number of workers.
"""

import sys

from app.cli.serve import serve_on
from app.server.tested_versions import ServerVersions

if __name__ == "__main__":
    serve_on(ServerVersions("0.0.0", "0.0.0"), "127.0.0.1", int(sys.argv[1]), int(sys.argv[2]))
