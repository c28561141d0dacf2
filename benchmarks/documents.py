"""What reading the worst documents costs that the limits let through, or that they turn away."""

import argparse
import time
from statistics import median

from script import run_script
from tables import grid

from app.graphql.documents import Document, Documents
from app.graphql.engine import core_schema
from app.graphql.limits import DocumentLimits
from app.graphql.schema import build_schema

SAME = "suspension { reason } "
DOCUMENTS = {
    "one object field 198 times": "{ me { " + SAME * 198 + "} }",
    "the same through ten fragments": "{ me { "
    + " ".join(f"...F{number}" for number in range(10))
    + " } } "
    + " ".join(f"fragment F{number} on User {{ {SAME * 19}}}" for number in range(10)),
    "an unknown field's field 199 times": "{ nobody { " + "x { y } " * 199 + "} }",
    "a page of people": "{ users(first: 50) { edges { cursor node { id email } } } }",
}


def main(options: argparse.Namespace) -> None:
    rows: list[list[str]] = []
    for name, text in DOCUMENTS.items():
        times: list[float] = []
        read = None
        for _ in range(options.samples + 1):
            # New each time: what was read before would be known.
            documents = Documents(core_schema(SCHEMA), DocumentLimits(), explore=False)
            started = time.process_time()
            read = documents.read(text)
            times.append((time.process_time() - started) * 1000)
        # The first one of a process also makes what its rules share.
        times = times[1:]
        answer = "runs" if isinstance(read, Document) else "is refused"
        rows.append([name, answer, f"{median(times):.1f}", f"{max(times):.1f}"])
    print("\n".join(grid(["document", "and it", "CPU ms", "longest"], rows)))


SCHEMA = build_schema()

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=9)
    run_script(main, parser)
