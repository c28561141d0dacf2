"""Several servers on one database, with different secrets."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from app.composition import Portico
from app.database.database import Database
from app.keys.services.signing_keys import SigningKeys
from app.main import create_app
from app.settings import Settings
from app.testing.clients import Api
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox

OLD = "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA"
NEW = "Zr7mQ2vX9kLs4TbW8nHd6YpJ3fGc5RaE"
NEWER = "k4VwT9xN2hBq7ZdM6yFs3PcJ8gLr5QaU"


@dataclass(frozen=True, slots=True)
class FleetServer:
    app: FastAPI
    api: Api

    @property
    def portico(self) -> Portico:
        return self.app.state.portico

    @property
    def keys(self) -> SigningKeys:
        return self.portico.services[SigningKeys]

    @property
    def database(self) -> Database:
        return self.portico.services[Database]

    async def readiness(self) -> tuple[int, str | None]:
        answer = await self.api.http.get("/health/ready")
        return answer.status_code, answer.json().get("reason")

    async def key_ids(self) -> list[str]:
        answer = await self.api.http.get("/.well-known/jwks.json")
        return [key["kid"] for key in answer.json()["keys"]]

    async def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.database.rows(text(statement), values)]

    async def execute(self, statement: str, **values: Any) -> None:
        async with self.database.begin() as session:
            await session.execute(text(statement), values)


@dataclass(frozen=True, slots=True)
class Fleet:
    settings: Settings
    clock: FakeClock
    mailer: Outbox

    @asynccontextmanager
    async def server(self, secrets: str, **changes: Any) -> AsyncGenerator[FleetServer]:
        changed = {"secret_key": SecretStr(secrets), **changes}
        app = create_app(self.settings.model_copy(update=changed), self.clock, self.mailer)
        async with app.router.lifespan_context(app), Api.of(app) as api:
            yield FleetServer(app, api)
