"""Strawberry in the style of tutorials: its router on FastAPI, `Depends(get_db)`, ORM rows."""

import base64
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar
from uuid import UUID

import jwt
import strawberry
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from fastapi import Depends, FastAPI, Request
from sqlalchemy import DateTime, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from strawberry.fastapi import GraphQLRouter
from strawberry.types import Info

PUBLIC_KEY = load_pem_public_key(Path(os.environ["PUBLIC_KEY_FILE"]).read_bytes())
DATABASE_URL = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://", 1)

engine = create_async_engine(DATABASE_URL, pool_size=int(os.environ.get("POOL_SIZE", "10")))
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True)}


class UserRow(Base):
    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    role: Mapped[str]
    suspended_at: Mapped[datetime | None]
    suspended_until: Mapped[datetime | None]
    created_at: Mapped[datetime]


@strawberry.type
class User:
    id: strawberry.ID
    email: str
    is_active: bool
    created_at: datetime

    @classmethod
    def of(cls, row: UserRow) -> "User":
        until = row.suspended_until
        active = row.suspended_at is None or (until is not None and until <= datetime.now(UTC))
        return cls(
            id=strawberry.ID(str(row.id)),
            email=row.email,
            is_active=active,
            created_at=row.created_at,
        )


@strawberry.type
class UserEdge:
    cursor: str
    node: User


@strawberry.type
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type
class UserConnection:
    edges: list[UserEdge]
    page_info: PageInfo


async def get_db() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


async def get_context(
    request: Request, db: Annotated[AsyncSession, Depends(get_db)]
) -> dict[str, Any]:
    return {"db": db, "claims": _claims(request.headers.get("authorization", ""))}


def _claims(authorization: str) -> dict[str, Any] | None:
    scheme, _, token = authorization.partition(" ")
    if scheme != "Bearer":
        return None
    try:
        return jwt.decode(token, PUBLIC_KEY, ["ES256"], options={"verify_aud": False})
    except jwt.PyJWTError:
        return None


async def _viewer(info: Info) -> UserRow | None:
    claims = info.context["claims"]
    return await info.context["db"].get(UserRow, UUID(claims["sub"])) if claims else None


@strawberry.type
class Query:
    @strawberry.field
    async def me(self, info: Info) -> User | None:
        row = await _viewer(info)
        return User.of(row) if row else None

    @strawberry.field
    async def users(
        self, info: Info, first: int = 50, after: str | None = None
    ) -> UserConnection | None:
        viewer = await _viewer(info)
        if viewer is None or viewer.role != "ADMIN":
            raise PermissionError("For administrators.")
        first = min(first, 100)
        statement = select(UserRow).order_by(UserRow.created_at, UserRow.id).limit(first + 1)
        if after is not None:
            created, user_id = base64.b64decode(after).decode().split("|")
            here = (datetime.fromisoformat(created), UUID(user_id))
            statement = statement.where(tuple_(UserRow.created_at, UserRow.id) > here)
        rows = (await info.context["db"].scalars(statement)).all()
        edges = [UserEdge(cursor=_cursor(row), node=User.of(row)) for row in rows[:first]]
        return UserConnection(
            edges=edges,
            page_info=PageInfo(
                has_next_page=len(rows) > first,
                has_previous_page=after is not None,
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
        )


def _cursor(row: UserRow) -> str:
    return base64.b64encode(f"{row.created_at.isoformat()}|{row.id}".encode()).decode()


app = FastAPI()
app.include_router(
    GraphQLRouter(strawberry.Schema(Query), context_getter=get_context, graphql_ide=None),
    prefix="/graphql",
)
