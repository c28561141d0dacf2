"""Opens connections to what a `DATABASE_URL` names, and finds out whether a pooler stands there."""

import asyncio
import logging
import os
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it has none
from asyncpg.exceptions import (  # pyright: ignore[reportMissingTypeStubs]
    CannotConnectNowError,
    TargetServerAttributeNotMatched,
)
from asyncpg.transaction import Transaction  # pyright: ignore[reportMissingTypeStubs]
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.database.connection_pools import ConnectingPool, QueuePool
from app.database.libpq.database_url import DatabaseUrl, SessionAttributes
from app.database.libpq.hosts import Host
from app.database.libpq.options import split_options
from app.database.libpq.password_file import find_password
from app.database.libpq.tls_context import tls_context
from app.database.libpq.tls_parameters import SslMode, Tls
from app.database.outages import sqlstate
from app.errors import Misconfigured

CONNECT_SECONDS = 5
ENCODING = "UTF8"
PASSWORD_FILE = ".pgpass"  # noqa: S105 - the name of a file
TLS_DIRECTORY = ".postgresql"

# Protocol violation as PgBouncer has it, feature not supported as RDS Proxy does.
REFUSALS = ("08P01", "0A000")
REFUSED_PARAMETER = re.compile(r"start-?up parameter|command-line option", re.IGNORECASE)
# While the driver looks a type up it turns this off for the session, and on again unless it was off
# before: off in a transaction of ours, it would stay off for whoever has the server next.
JIT = "jit"
# What none of them keeps from one transaction to the next, so that each may be on another one.
UNPREPARED: Mapping[str, Any] = {
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": str,
}

driver: Any = asyncpg

log = logging.getLogger(__name__)


class PooledConnection(asyncpg.Connection):
    """A connection to a pooler, which has another server for each transaction.

    Settings are those of a transaction, so that nobody else gets them, and outside of one there are
    simple queries only: the two halves of a prepared statement may reach two servers.
    """

    bounds: str = ""

    def transaction(
        self, *, isolation: str | None = None, readonly: bool = False, deferrable: bool = False
    ) -> Transaction:
        return BoundedTransaction(self, isolation, readonly, deferrable)

    async def prepare(self, query: str, **options: Any) -> Any:
        if not self.is_in_transaction():
            return Unprepared(self, query)
        known: Any = super()
        return await known.prepare(query, **options)

    async def set_type_codec(self, *arguments: Any, **options: Any) -> None:
        """As always; SQLAlchemy calls it on each new connection, and it asks the server."""
        async with self.transaction():
            known: Any = super()
            await known.set_type_codec(*arguments, **options)


class Unprepared:
    """A statement that runs outside of a transaction, such as CREATE INDEX CONCURRENTLY.

    It has the face of a prepared one, for SQLAlchemy; it takes no parameters and gives no rows.
    """

    def __init__(self, connection: PooledConnection, query: str) -> None:
        self._pooled: Any = connection
        self._query = query
        self._status = ""

    def get_attributes(self) -> tuple[()]:
        return ()

    def get_statusmsg(self) -> str:
        return self._status

    async def fetch(self) -> list[Any]:
        self._status = await self._pooled.execute(self._query)
        return []


class BoundedTransaction(Transaction):
    """A transaction that begins with the settings of its connection."""

    def __init__(self, connection: PooledConnection, *how: Any) -> None:
        super().__init__(connection, *how)
        self._pooled: Any = connection

    async def start(self) -> None:
        nested: bool = self._pooled.is_in_transaction()
        await super().start()
        if nested or not self._pooled.bounds:
            return
        try:
            await self._pooled.execute(self._pooled.bounds)
        except BaseException:
            # Whoever began it does not know that it has begun.
            self._pooled.terminate()
            raise


def is_pooled(connection: object) -> bool:
    """Whether a connection of the driver may have another server for each transaction."""
    # Not isinstance: the driver's metaclass takes every connection for one of each kind.
    return type(connection) is PooledConnection


@dataclass(slots=True)
class Connector:
    """Opens connections with these settings in force.

    PostgreSQL takes them at the start of a connection, which costs nothing. A pooler in transaction
    mode refuses them there, and gets them at the start of each transaction instead: where `pooled`
    says so, or once it has refused them.
    """

    url: DatabaseUrl
    application_name: str
    settings: Mapping[str, str]
    pooled: bool = False
    # Whether `pooled` was found out by a refusal, and not said.
    refused: bool = False
    # Of one statement, on this side: nobody waits for longer for a server that has gone.
    statement_seconds: float | None = None

    def engine(self, pool: type[ConnectingPool] = QueuePool, **options: Any) -> AsyncEngine:
        """Make an engine; nothing is opened until it is used.

        Raises:
            Misconfigured: a file that the URL names cannot be used.

        """
        _check_files(self.url)
        # Statements are logged when they fail; what they carried is addresses and hashes.
        engine = create_async_engine(
            "postgresql+asyncpg://", poolclass=pool, hide_parameters=True, **options
        )
        event.listen(engine.sync_engine, "do_connect", self._connect)
        return engine

    def _connect(
        self, dialect: Any, _record: object, _arguments: object, options: dict[str, Any]
    ) -> Any:
        if not self.pooled:
            try:
                return dialect.connect(**options, async_creator_fn=self._open)
            except dialect.loaded_dbapi.Error as error:
                if not _refuses_settings(error):
                    raise
        unprepared = {**options, **UNPREPARED}
        connection = dialect.connect(**unprepared, async_creator_fn=self._open_pooled)
        if not self.pooled:
            self.pooled = self.refused = True
            log.info("A pooler refuses settings of a connection: each transaction sets them.")
        return connection

    async def _open(self) -> Any:
        options = {"options": self.url.options} if self.url.options else {}
        return await self._open_first(
            server_settings={**options, **self._named(), **self.settings},
            connection_class=asyncpg.Connection,
        )

    async def _open_pooled(self) -> Any:
        theirs, others = split_options(self.url.options or "")
        # What is no setting is for the pooler itself, such as which database is meant behind it.
        options = {"options": " ".join(others)} if others else {}
        connection = await self._open_first(
            server_settings={**options, **self._named()},
            connection_class=PooledConnection,
            statement_cache_size=0,
        )
        wanted = {**theirs, **self.settings}
        connection.bounds = _set_local({name: wanted[name] for name in wanted if name != JIT})
        return connection

    def _named(self) -> dict[str, str]:
        return {"application_name": self.url.application_name or self.application_name}

    async def _open_first(self, **how: Any) -> Any:
        """Open a connection to the first host that will do, as libpq tries them."""
        hosts = list(self.url.hosts)
        if self.url.load_balanced:
            random.shuffle(hosts)
        failures: list[tuple[Host, Exception]] = []
        for wanted in _wanted(self.url.session):
            for host in hosts:
                try:
                    return await self._open_one(host, wanted, how)
                except (OSError, CannotConnectNowError, TargetServerAttributeNotMatched) as error:
                    failures.append((host, error))
        raise _failure(failures)

    async def _open_one(self, host: Host, wanted: SessionAttributes, how: dict[str, Any]) -> Any:
        connection = await driver.connect(
            host=host.address,
            port=host.port,
            user=self.url.user,
            database=self.url.database,
            # Not None: the driver would look for one by rules of its own.
            password=self._password(host) or "",
            target_session_attrs=wanted.value,
            timeout=self.url.connect_seconds or CONNECT_SECONDS,
            command_timeout=self.statement_seconds,
            **await _encryption(self.url.tls, host),
            **how,
        )
        encoding = getattr(connection.get_settings(), "server_encoding", ENCODING)
        if encoding != ENCODING:
            connection.terminate()
            raise Misconfigured(
                f"The database {self.url.database} has the encoding {encoding}, and Portico needs"
                f" {ENCODING}: make one with `createdb -T template0 -E {ENCODING} …`."
            )
        return connection

    def _password(self, host: Host) -> str | None:
        url = self.url
        if url.password is not None:
            return url.password
        path = Path(url.password_file) if url.password_file else _home() / PASSWORD_FILE
        return find_password(path, host.name, host.port, url.database, url.user)


def _check_files(url: DatabaseUrl) -> None:
    """Find out now what each connection would meet: which file cannot be used."""
    if url.tls.mode is SslMode.DISABLE or all(host.is_socket for host in url.hosts):
        return
    tls = url.tls if url.tls.mode.is_mandatory else replace(url.tls, mode=SslMode.REQUIRE)
    tls_context(tls, _home() / TLS_DIRECTORY)


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        # Nobody's: there is nothing in it.
        return Path(os.devnull)


def _refuses_settings(error: Exception) -> bool:
    return sqlstate(error) in REFUSALS and REFUSED_PARAMETER.search(str(error)) is not None


def _set_local(settings: Mapping[str, str]) -> str:
    """Give one statement that sets all of these until the transaction ends.

    Not SET LOCAL, which takes a list such as a `search_path` for one name.
    """
    calls = [f"set_config({_quoted(name)}, {_quoted(settings[name])}, true)" for name in settings]
    return f"SELECT {', '.join(calls)}"


def _quoted(text: str) -> str:
    # In this form a backslash is one whatever `standard_conforming_strings` says.
    doubled = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{doubled}'"


def _wanted(session: SessionAttributes) -> Sequence[SessionAttributes]:
    if session is SessionAttributes.PREFER_STANDBY:
        return SessionAttributes.STANDBY, SessionAttributes.ANY
    return (session,)


def _failure(failures: Sequence[tuple[Host, Exception]]) -> Exception:
    """Give what one host said, or what each of several did."""
    [*_, (_, last)] = failures
    if len(failures) == 1 and not isinstance(last, TargetServerAttributeNotMatched):
        return last
    told = [
        f"{host.name}:{host.port}: {str(error) or type(error).__name__}" for host, error in failures
    ]
    failure = ConnectionError("; ".join(told))
    failure.__cause__ = last
    return failure


async def _encryption(tls: Tls, host: Host) -> dict[str, Any]:
    """Give the driver's arguments."""
    if host.is_socket or tls.mode is SslMode.DISABLE:
        return {"ssl": False, "direct_tls": False}
    if not tls.mode.is_mandatory:
        # The driver itself tries the one and then the other.
        return {"dsn": f"postgresql:///?{urlencode(_advisory(tls))}", "direct_tls": False}
    try:
        # Reading what the system trusts takes 20 ms.
        context = await asyncio.to_thread(tls_context, tls, _home() / TLS_DIRECTORY)
    except Misconfigured as problem:
        # It was there when the process began.
        raise ConnectionError(str(problem)) from problem
    return {"ssl": context, "direct_tls": tls.direct}


def _advisory(tls: Tls) -> dict[str, str]:
    given = {
        "sslmode": tls.mode.value,
        "sslcert": tls.certificate,
        "sslkey": tls.key,
        "sslpassword": tls.key_password,
        "ssl_min_protocol_version": tls.minimum.value,
        "ssl_max_protocol_version": tls.maximum and tls.maximum.value,
    }
    return {name: value for name, value in given.items() if value}
