"""Some of the streams of `python -m tests.wire`, which CI runs longer and with other seeds."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.support.servers import Server, serving
from tests.wire import portico, streams
from tests.wire.applications import ECHOES, PORTICO
from tests.wire.fuzzing import Fuzzing
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


async def test_portico_answers_each_request_of_a_stream_in_order(server: Server) -> None:
    fuzzing = Fuzzing(server.port, PORTICO, partial(portico.stream_of, "test"))

    await fuzzing.run(lambda sent: sent < STREAMS)

    assert fuzzing.sent == STREAMS
