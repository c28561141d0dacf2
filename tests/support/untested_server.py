"""`portico serve` where uvicorn and httptools are other versions than those of the tests.

Its arguments are a port and a number of workers.
"""

import sys

from app.commands.serving import serve_on
from app.http.tested import Versions

if __name__ == "__main__":
    serve_on(Versions("0.0.0", "0.0.0"), "127.0.0.1", int(sys.argv[1]), int(sys.argv[2]))
