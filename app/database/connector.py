"""Opens connections by a `DATABASE_URL`, and detects a pooler in transaction mode."""

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

# PgBouncer sends "protocol violation", RDS Proxy "feature not supported".
SQLSTATES_OF_REFUSED_SETTINGS = ("08P01", "0A000")
REFUSED_PARAMETER = re.compile(r"start-?up parameter|command-line option", re.IGNORECASE)
# While the driver looks up a type, it turns this off for the session, and on again unless it was
# off before: turned off by our transaction, it would stay off for the next client of the pooler.
JIT = "jit"
# Keeps nothing between transactions, since each may run on another server connection.
WITHOUT_PREPARED_STATEMENTS: Mapping[str, Any] = {
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": str,
}

BEGIN_READ_COMMITTED = "BEGIN ISOLATION LEVEL READ COMMITTED"

driver: Any = asyncpg

log = logging.getLogger(__name__)


class PooledConnection(asyncpg.Connection):
    """A connection to a pooler, which may use another server connection for each transaction.

    Settings are local to transactions, so that other clients do not get them. Outside of
    transactions there are simple queries only: the two steps of a prepared statement, parsing and
    executing, could reach different server connections.
    """

    transaction_settings: str = ""

    def transaction(
        self, *, isolation: str | None = None, readonly: bool = False, deferrable: bool = False
    ) -> Transaction:
        return TransactionWithSettings(self, isolation, readonly, deferrable)

    async def prepare(self, query: str, **options: Any) -> Any:
        if not self.is_in_transaction():
            return SimpleStatement(self, query)
        known: Any = super()
        return await known.prepare(query, **options)

    async def set_type_codec(self, *arguments: Any, **options: Any) -> None:
        """As the driver does, but in a transaction: it queries the server."""
        async with self.transaction():
            known: Any = super()
            await known.set_type_codec(*arguments, **options)


class SimpleStatement:
    """A statement that runs outside of a transaction, such as CREATE INDEX CONCURRENTLY.

    It has the interface of a prepared statement, for SQLAlchemy, but no parameters and no rows.
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


class TransactionWithSettings(Transaction):
    """A transaction that begins by setting the settings of its connection."""

    def __init__(self, connection: PooledConnection, *how: Any) -> None:
        super().__init__(connection, *how)
        self._pooled: Any = connection

    async def start(self) -> None:
        nested: bool = self._pooled.is_in_transaction()
        await super().start()
        if nested or not self._pooled.transaction_settings:
            return
        try:
            await self._pooled.execute(self._pooled.transaction_settings)
        except BaseException:
            # The caller does not know that the transaction has begun.
            self._pooled.terminate()
            raise


def is_pooled(connection: object) -> bool:
    """Whether a driver connection may use another server connection for each transaction."""
    # Not isinstance: the driver's metaclass accepts every connection as an instance of every class.
    return type(connection) is PooledConnection


def begin_read_committed(connection: Any) -> str:
    """Returns what begins a transaction on a driver connection, with the settings of a pooled one.

    The driver's own transactions do not say whether the server has committed them or, because a
    statement had failed, rolled them back.
    """
    if not is_pooled(connection):
        return BEGIN_READ_COMMITTED
    return f"{BEGIN_READ_COMMITTED}; {connection.transaction_settings}"


@dataclass(slots=True)
class Connector:
    """Opens connections with these settings.

    PostgreSQL accepts them at the start of a connection, which costs nothing. A pooler in
    transaction mode refuses them there, so they are sent at the start of each transaction instead:
    if `pooled` is set, or once the pooler has refused them.
    """

    url: DatabaseUrl
    application_name: str
    settings: Mapping[str, str]
    pooled: bool = False
    # Whether `pooled` was detected by a refusal, and not configured.
    pooler_detected: bool = False
    # The driver's own timeout of a statement, for a server that no longer answers.
    statement_seconds: float | None = None

    def engine(self, pool: type[ConnectingPool] = QueuePool, **options: Any) -> AsyncEngine:
        """Returns an engine; it opens no connection until it is used.

        Raises:
            Misconfigured: a file that the URL names cannot be used.

        """
        _check_files(self.url)
        # Failed statements are logged; their parameters may be email addresses and hashes.
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
        unprepared = {**options, **WITHOUT_PREPARED_STATEMENTS}
        connection = dialect.connect(**unprepared, async_creator_fn=self._open_pooled)
        if not self.pooled:
            self.pooled = self.pooler_detected = True
            log.info("A pooler refuses settings of connections: they are set in each transaction.")
        return connection

    async def _open(self) -> Any:
        options = {"options": self.url.options} if self.url.options else {}
        return await self._open_first(
            server_settings={**options, **self._application_name(), **self.settings},
            connection_class=asyncpg.Connection,
        )

    async def _open_pooled(self) -> Any:
        url_settings, words_for_pooler = split_options(self.url.options or "")
        # Other words are for the pooler itself, such as `endpoint=…`, the database to connect to.
        options = {"options": " ".join(words_for_pooler)} if words_for_pooler else {}
        connection = await self._open_first(
            server_settings={**options, **self._application_name()},
            connection_class=PooledConnection,
            statement_cache_size=0,
        )
        wanted = {**url_settings, **self.settings}
        connection.transaction_settings = _set_local(
            {name: wanted[name] for name in wanted if name != JIT}
        )
        return connection

    def _application_name(self) -> dict[str, str]:
        return {"application_name": self.url.application_name or self.application_name}

    async def _open_first(self, **how: Any) -> Any:
        """Open a connection to the first suitable host, in the order of libpq."""
        hosts = list(self.url.hosts)
        if self.url.load_balanced:
            random.shuffle(hosts)
        failures: list[tuple[Host, Exception]] = []
        for wanted in _attempts(self.url.session):
            for host in hosts:
                try:
                    return await self._open_one(host, wanted, how)
                except (OSError, CannotConnectNowError, TargetServerAttributeNotMatched) as error:
                    failures.append((host, error))
        raise _connection_error(failures)

    async def _open_one(self, host: Host, wanted: SessionAttributes, how: dict[str, Any]) -> Any:
        connection = await driver.connect(
            host=host.address,
            port=host.port,
            user=self.url.user,
            database=self.url.database,
            # Not None: the driver would look for a password by rules of its own.
            password=self._password(host) or "",
            target_session_attrs=wanted.value,
            timeout=self.url.connect_seconds or CONNECT_SECONDS,
            command_timeout=self.statement_seconds,
            **await _tls_arguments(self.url.tls, host),
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
    """Raise now if a file cannot be used, and not with the first connection."""
    if url.tls.mode is SslMode.DISABLE or all(host.is_socket for host in url.hosts):
        return
    tls = url.tls if url.tls.mode.is_mandatory else replace(url.tls, mode=SslMode.REQUIRE)
    tls_context(tls, _home() / TLS_DIRECTORY)


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        # The user has no home directory.
        return Path(os.devnull)


def _refuses_settings(error: Exception) -> bool:
    return (
        sqlstate(error) in SQLSTATES_OF_REFUSED_SETTINGS
        and REFUSED_PARAMETER.search(str(error)) is not None
    )


def _set_local(settings: Mapping[str, str]) -> str:
    """Returns a statement that sets all of these until the transaction ends.

    Not SET LOCAL, which reads a quoted list, such as a `search_path`, as one name.
    """
    calls = [f"set_config({_quoted(name)}, {_quoted(settings[name])}, true)" for name in settings]
    return f"SELECT {', '.join(calls)}"


def _quoted(text: str) -> str:
    # E'' strings are read in the same way whatever `standard_conforming_strings` is.
    doubled = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{doubled}'"


def _attempts(session: SessionAttributes) -> Sequence[SessionAttributes]:
    if session is SessionAttributes.PREFER_STANDBY:
        return SessionAttributes.STANDBY, SessionAttributes.ANY
    return (session,)


def _connection_error(failures: Sequence[tuple[Host, Exception]]) -> Exception:
    """Returns the error of a single host, or one with the messages of all hosts."""
    [*_, (_, last)] = failures
    if len(failures) == 1 and not isinstance(last, TargetServerAttributeNotMatched):
        return last
    messages = [
        f"{host.name}:{host.port}: {str(error) or type(error).__name__}" for host, error in failures
    ]
    failure = ConnectionError("; ".join(messages))
    failure.__cause__ = last
    return failure


async def _tls_arguments(tls: Tls, host: Host) -> dict[str, Any]:
    """Returns the arguments for the driver."""
    if host.is_socket or tls.mode is SslMode.DISABLE:
        return {"ssl": False, "direct_tls": False}
    if not tls.mode.is_mandatory:
        # The driver itself tries both, with and without TLS.
        return {
            "dsn": f"postgresql:///?{urlencode(_optional_tls_parameters(tls))}",
            "direct_tls": False,
        }
    try:
        # Loading the certificates of the system takes 20 ms.
        context = await asyncio.to_thread(tls_context, tls, _home() / TLS_DIRECTORY)
    except Misconfigured as problem:
        # The file was usable when the process started.
        raise ConnectionError(str(problem)) from problem
    return {"ssl": context, "direct_tls": tls.direct}


def _optional_tls_parameters(tls: Tls) -> dict[str, str]:
    given = {
        "sslmode": tls.mode.value,
        "sslcert": tls.certificate,
        "sslkey": tls.key,
        "sslpassword": tls.key_password,
        "ssl_min_protocol_version": tls.minimum.value,
        "ssl_max_protocol_version": tls.maximum and tls.maximum.value,
    }
    return {name: value for name, value in given.items() if value}
