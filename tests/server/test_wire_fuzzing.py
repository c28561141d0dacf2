"""Some of the streams of `python -m tests.wire`, which CI runs longer and with other seeds."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.support.servers import Server, serving
from tests.wire import portico, streams
from tests.wire.applications import ECHOES, PORTICO
from tests.wire.fuzzing import Fuzzing
from tests.wire.quirks import Quirk
from tests.wire.servers import MODES, echoing

STREAMS = 200


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("fuzzing")) as running:
        yield running


@pytest.mark.parametrize("mode", MODES)
async def test_a_stream_is_read_as_another_parser_reads_it(mode: str) -> None:
    async with echoing(mode) as port:
        fuzzing = Fuzzing(port, ECHOES[mode], partial(streams.stream_of, "test"))

        await fuzzing.run(lambda sent: sent < STREAMS)

    assert fuzzing.sent == STREAMS


async def test_what_is_odd_in_a_stream_is_still_found_behind_a_changed_byte() -> None:
    stream = streams.Stream()
    stream.add(b"GET / HTTP/1.1\r\n")
    stream.add(b"Host: a b\r\n\r\n", Quirk.BAD_HOST)
    stream.add(b"CONNECT / HTTP/1.1\r\n\r\n", Quirk.TUNNEL)

    stream.replace(4, 5, b"")
    stream.replace(17, 17, b"\t\t")

    texts = {quirk: bytes(stream.shown[at:]) for at, quirk in stream.quirks}
    assert texts[Quirk.BAD_HOST].startswith(b"Ho\t\tst: a b")
    assert texts[Quirk.TUNNEL].startswith(b"CONNECT")


async def test_portico_answers_each_request_of_a_stream_in_order(server: Server) -> None:
    fuzzing = Fuzzing(server.port, PORTICO, partial(portico.stream_of, "test"))

    await fuzzing.run(lambda sent: sent < STREAMS)

    assert fuzzing.sent == STREAMS
