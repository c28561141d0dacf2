"""A database that refuses all connections: an outage, whatever its message; nothing is done."""

import asyncio
import struct
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database import migrations
from app.database.database import Database, connect
from app.errors import NotConnected
from app.main import create_app
from app.testing.clients import LOGIN, ME, REGISTER, Api, Person
from app.testing.databases import contents, on_server
from app.testing.leaks import SECRETS
from app.testing.settings import settings_for
from tests.database.test_outages import UNAVAILABLE, unavailable
from tests.sessions.test_refreshing import REFRESH
from tests.support.postgres import Postgres, postgres
from tests.support.servers import Server, serving
from tests.support.smtp_server import SmtpServer, running_smtp_server

SECRET = "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA"
PASSWORD = "horse-battery-8"
ADA = Person("ada@example.com", "difference engine 1")
EVE = Person("eve@example.com", "an apple a day 42")
RESET = """
mutation Reset($email: String!) { requestPasswordReset(input: {email: $email}) { __typename } }
"""
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'portico'"
END_CONNECTIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'portico'"


class Refusal(NamedTuple):
    """Statements that make the database refuse Portico and admit it again, and the error."""

    refuse: str
    admit: str
    message_of_postgresql: str


REFUSALS = {
    "a role without LOGIN": Refusal(
        "ALTER ROLE portico NOLOGIN",
        "ALTER ROLE portico LOGIN",
        'role "portico" is not permitted to log in (28000)',
    ),
    "another password": Refusal(
        "ALTER ROLE portico PASSWORD 'rotated'",
        f"ALTER ROLE portico PASSWORD '{PASSWORD}'",
        'password authentication failed for user "portico" (28P01)',
    ),
    "a connection limit": Refusal(
        "ALTER ROLE portico CONNECTION LIMIT 0",
        "ALTER ROLE portico CONNECTION LIMIT -1",
        'too many connections for role "portico" (53300)',
    ),
    "no privilege on the database": Refusal(
        "REVOKE CONNECT ON DATABASE served FROM PUBLIC, portico",
        "GRANT CONNECT ON DATABASE served TO PUBLIC, portico",
        'permission denied for database "served" (42501)',
    ),
    "a database that accepts no connections": Refusal(
        "ALTER DATABASE served ALLOW_CONNECTIONS false",
        "ALTER DATABASE served ALLOW_CONNECTIONS true",
        'database "served" is not currently accepting connections (55000)',
    ),
}


@pytest.fixture(scope="module")
def own() -> Iterator[Postgres]:
    SECRETS.add(PASSWORD)
    with postgres() as server:
        asyncio.run(on_server(server.url, f"CREATE ROLE portico LOGIN PASSWORD '{PASSWORD}'"))
        asyncio.run(on_server(server.url, "CREATE DATABASE served OWNER portico"))
        server.admit("host all portico all scram-sha-256")
        migrations.upgrade(url_of(server))
        yield server


def url_of(server: Postgres) -> str:
    return f"postgresql://portico:{PASSWORD}@127.0.0.1:{server.port}/served"


@pytest.fixture(scope="module")
def smtp() -> Iterator[SmtpServer]:
    with running_smtp_server() as smtp:
        yield smtp


@pytest.fixture(scope="module")
def server(
    own: Postgres, smtp: SmtpServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    settings = {
        "DATABASE_URL": url_of(own),
        "DATABASE_POOL_SIZE": "5",
        "SECRET_KEY": SECRET,
        "PUBLIC_URL": "https://id.example.com",
        "SMTP_URL": f"smtp://127.0.0.1:{smtp.port}?tls=none",
        "THROTTLE_SCALE": "1000",
        "LOG_LEVEL": "INFO",
    }
    with serving(tmp_path_factory.mktemp("refused"), **settings) as running:
        yield running


@pytest.fixture
async def ada(server: Server) -> AsyncGenerator[Api]:
    async with httpx.AsyncClient(base_url=server.url) as http:
        guest = Api(http)
        data = await guest(REGISTER, input=ADA.registration)
        if data["register"]["__typename"] == "SignedIn":
            yield guest.with_tokens(data["register"])
        else:
            yield await guest.login(ADA)


async def ask(own: Postgres, statement: str) -> Any:
    database = Database(connect(own.url, pool_size=5), pool_size=5)
    rows = await database.rows(text(statement))
    await database.close()
    return rows[0][0] if rows else None


async def end_connections(own: Postgres) -> None:
    """End all connections of Portico."""
    async with asyncio.timeout(20):
        while await ask(own, CONNECTIONS):
            await ask(own, END_CONNECTIONS)


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_a_database_that_refuses_the_role_is_an_outage_that_ends_by_itself(
    own: Postgres, server: Server, smtp: SmtpServer, ada: Api, refusal: Refusal
) -> None:
    async with refused_meanwhile(server, ada, smtp, refusal.message_of_postgresql):
        await on_server(own.url, refusal.refuse)
        await end_connections(own)
        await all_is_refused(ada)
        await on_server(own.url, refusal.admit)


async def test_a_rule_in_pg_hba_that_rejects_is_an_outage_that_ends_by_itself(
    own: Postgres, server: Server, smtp: SmtpServer, ada: Api
) -> None:
    message_of_postgresql = (
        'pg_hba.conf rejects connection for host "127.0.0.1", user "portico", database "served", '
        "no encryption (28000)"
    )
    async with refused_meanwhile(server, ada, smtp, message_of_postgresql):
        with own.admitting("host all portico all reject"):
            await end_connections(own)
            await all_is_refused(ada)


async def test_a_database_that_was_renamed_is_an_outage_that_ends_by_itself(
    own: Postgres, server: Server, smtp: SmtpServer, ada: Api
) -> None:
    async with refused_meanwhile(server, ada, smtp, 'database "served" does not exist (3D000)'):
        # It cannot be renamed while anyone is connected.
        await on_server(own.url, "ALTER DATABASE served ALLOW_CONNECTIONS false")
        await end_connections(own)
        await on_server(own.url, "ALTER DATABASE served RENAME TO hidden")
        await all_is_refused(ada)
        await on_server(own.url, "ALTER DATABASE hidden RENAME TO served")
        await on_server(own.url, "ALTER DATABASE served ALLOW_CONNECTIONS true")


@asynccontextmanager
async def refused_meanwhile(
    server: Server, ada: Api, smtp: SmtpServer, message_of_postgresql: str
) -> AsyncGenerator[None]:
    """Check that the log has the error of the database once, and that service resumes."""
    before = len(server.output)
    yield
    await asyncio.to_thread(server.wait_until_ready)
    log = server.output[before:]
    assert log.count(f"Not ready: {message_of_postgresql}\n") == 1
    assert ("Traceback" in log, "Internal error" in log) == (False, False)

    assert await ada(ME) == {"me": {"email": ADA.email}}
    await ada(RESET, email=ADA.email)
    email = await asyncio.to_thread(smtp.wait_for_email)
    assert email["To"] == ADA.email


async def all_is_refused(ada: Api) -> None:
    operations: list[tuple[str, dict[str, Any]]] = [
        (ME, {}),
        (LOGIN, {"input": ADA.credentials}),
        (REGISTER, {"input": EVE.registration}),
        (REFRESH, {"token": ada.refresh_token}),
        (RESET, {"email": ADA.email}),
    ]
    for _ in range(3):
        answers = [await answer_to(ada, query, **variables) for query, variables in operations]
        assert answers == [(503, {"errors": [unavailable()]})] * len(operations)
        assert (await ada.http.get("/health/ready")).status_code == 503


async def answer_to(ada: Api, query: str, **variables: Any) -> tuple[int, Any]:
    await ada(query, **variables)
    assert ada.last is not None
    errors = [{name: error[name] for name in ("message", "extensions")} for error in ada.errors]
    return ada.last.status_code, {"errors": errors}


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def refusal_of(code: str, words: str = "not now") -> bytes:
    fields = f"SFATAL\0VFATAL\0C{code}\0M{words}\0\0"
    return message(b"E", fields.encode())


READY = message(b"Z", b"I")
# Answers of servers, poolers and other programs to a new connection.
GREETINGS = {
    "an internal error": refusal_of("XX000", "Tenant or user not found"),
    "a feature that is missing": refusal_of("0A000", "channel binding is not supported"),
    "a protocol violation": refusal_of("08P01", "server login failed: wrong password"),
    "an unknown code": refusal_of("ZZ999"),
    "no code at all": message(b"E", b"SFATAL\0Mno more connections allowed\0\0"),
    "a value of the wrong type": refusal_of("22023", "invalid value for parameter"),
    "a syntax error": refusal_of("42601", "unsupported command"),
    "an unknown way to sign in": message(b"R", struct.pack("!i", 99)),
    "another protocol": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "an answer that is end_connections off": refusal_of("28000")[:9],
    "an answer that makes no sense": b"Z\0\0\0\1" + bytes(range(256)),
    "nothing": b"",
}


class FakeServer:
    """Forwards connections to a server, until it is given another answer to send."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self.greeting: bytes | None = None
        # Sent to open connections instead of the next answer.
        self.answer: bytes | None = None
        self.closes = False
        self._open = set[asyncio.StreamWriter]()

    def refuse(self, greeting: bytes) -> None:
        self.greeting = greeting
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.greeting is not None:
            await reader.read(65536)
            writer.write(self.greeting)
            writer.close()
            return
        there = await asyncio.open_connection("127.0.0.1", self._server.port)
        self._open |= {writer, there[1]}
        await asyncio.gather(
            self._forward(reader, there[1], writer),
            pass_on(there[0], writer),
            return_exceptions=True,
        )

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        there: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(65536):
            if self.answer is None:
                there.write(data)
            else:
                back.write(self.answer)
                if self.closes:
                    back.close()
        there.close()


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def behind_fake_server(own: Postgres) -> AsyncGenerator[tuple[FakeServer, FastAPI, Api]]:
    fake = FakeServer(own)
    listening = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    url = f"postgresql://portico:{PASSWORD}@127.0.0.1:{port}/served?sslmode=disable"
    app = create_app(settings_for(url, database_pool_size=5))
    async with listening, app.router.lifespan_context(app), Api.of(app) as guest:
        yield fake, app, guest


@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
async def test_any_invalid_answer_to_a_new_connection_is_an_outage(
    own: Postgres, caplog: pytest.LogCaptureFixture, greeting: bytes
) -> None:
    direct = Database(connect(url_of(own), pool_size=5), pool_size=5)
    async with behind_fake_server(own) as (fake, app, guest):
        before = await contents(direct)
        fake.refuse(greeting)

        assert await guest(REGISTER, input=EVE.registration) is None
        assert guest.errors[0]["message"] == UNAVAILABLE
        assert guest.last is not None
        assert guest.last.status_code == 503
        assert (await guest.http.get("/health/ready")).status_code == 503
        for read_or_write in (
            app.state.portico.services[Database].rows(text("SELECT 1")),
            writes(app),
        ):
            with pytest.raises(NotConnected):
                await read_or_write

        assert await contents(direct) == before
        assert "Traceback" not in caplog.text
        fake.greeting = None
        assert (await guest.http.get("/health/ready")).status_code == 200
    await direct.close()


async def writes(app: FastAPI) -> None:
    async with app.state.portico.services[Database].begin() as session:
        await session.execute(text("DELETE FROM users"))


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("code", ["XX000", "58000", "28P01", "42501", "ZZ999"])
async def test_a_session_that_a_pooler_ends_is_an_outage_whatever_the_code(
    own: Postgres, caplog: pytest.LogCaptureFixture, code: str, *, closes: bool
) -> None:
    async with behind_fake_server(own) as (fake, _, guest):
        data = await guest(REGISTER, input=ADA.registration)
        if data["register"]["__typename"] == "SignedIn":
            ada = guest.with_tokens(data["register"])
        else:
            ada = await guest.login(ADA)
        fake.closes = closes
        fake.greeting = refusal_of(code, "all servers are down")
        fake.answer = fake.greeting + READY

        assert await answer_to(ada, ME) == (503, {"errors": [unavailable()]})
        assert await answer_to(ada, LOGIN, input=ADA.credentials) == (
            503,
            {"errors": [unavailable()]},
        )

        assert ("Traceback" in caplog.text, f"all servers are down ({code})" in caplog.text) == (
            False,
            True,
        )
        fake.greeting = fake.answer = None
        assert await ada(ME) == {"me": {"email": ADA.email}}


async def test_a_missing_privilege_is_an_internal_error_and_the_log_names_it(
    own: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    async with behind_fake_server(own) as (_, _, guest):
        await on_server(url_of(own), "REVOKE SELECT ON users FROM portico")
        try:
            answers = [await answer_to(guest, LOGIN, input=EVE.credentials) for _ in range(3)]
        finally:
            await on_server(url_of(own), "GRANT SELECT ON users TO portico")

    assert [status for status, _ in answers] == [200] * 3
    codes = [answer["errors"][0]["extensions"]["code"] for _, answer in answers]
    assert codes == ["INTERNAL_SERVER_ERROR"] * 3
    errors = [record for record in caplog.records if "Internal error" in record.message]
    assert [record.message.split(": ")[1] for record in errors] == [
        "permission denied for table users (42501)"
    ] * 3
    assert [record.exc_info is not None for record in errors] == [True, False, False]
