"""Streams of requests that Portico itself answers, each one different."""

import json
from http.client import HTTPResponse

from tests.wire.second_parser import Request
from tests.wire.streams import Generator, Stream

LAST = (
    b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Request-Id: the-last-one\r\n"
    b"Connection: close\r\n\r\n"
)
ALIVE = b'{"status":"alive"}'


def stream_of(seed: str, number: int) -> Stream:
    generator = Generator(seed, number, legal=True)
    for place in range(generator.random.randint(1, 4)):
        name = f"q{number}_{place}"
        body = json.dumps({"query": f"{{ {name}: __typename }}"}).encode()
        fields = (b"Content-Type: application/json", b"X-Request-Id: " + b"request-%d" % place)
        generator.request(b"POST", b"/graphql", body, *fields)
    generator.stream.add(LAST)
    generator.cut()
    return generator.stream


def label_in(response: HTTPResponse) -> bytes | None:
    """Returns the label of an answer; None if it is not from the application."""
    named = response.getheader("x-request-id")
    return None if named is None else named.encode() + b" "


def label_for(request: Request) -> bytes:
    answer = ALIVE
    if request.method == b"POST":
        name = json.loads(request.body)["query"].split()[1].rstrip(":")
        answer = json.dumps({"data": {name: "Query"}}, separators=(",", ":")).encode()
    return request.fields[b"x-request-id"] + b" " + answer
