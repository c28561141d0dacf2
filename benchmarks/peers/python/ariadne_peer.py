"""Ariadne on uvicorn, with asyncpg, which prepares and caches its statements by itself."""

import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import jwt
from ariadne import ObjectType, QueryType, make_executable_schema
from ariadne.asgi import GraphQL
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from graphql import GraphQLError, GraphQLResolveInfo
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

PUBLIC_KEY = load_pem_public_key(Path(os.environ["PUBLIC_KEY_FILE"]).read_bytes())
POOL_SIZE = int(os.environ.get("POOL_SIZE", "10"))
SELECT = "SELECT id, email, role, suspended_at, suspended_until, created_at FROM users"
BY_ID = SELECT + " WHERE id = $1"
FIRST = SELECT + " ORDER BY created_at, id LIMIT $1"
AFTER = SELECT + " WHERE (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $1"

TYPES = """
type Query {
    me: User
    users(first: Int, after: String): UserConnection
}
type User { id: ID! email: String! isActive: Boolean! createdAt: String! }
type UserConnection { edges: [UserEdge!]! pageInfo: PageInfo! }
type UserEdge { cursor: String! node: User! }
type PageInfo {
    hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String
}
"""

query = QueryType()
user = ObjectType("User")
pool: asyncpg.Pool


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    global pool
    async with asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=POOL_SIZE, max_size=POOL_SIZE
    ) as pool:
        yield


def context(request: Request, _data: object) -> dict[str, Any]:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer":
        return {"claims": None}
    try:
        return {"claims": jwt.decode(token, PUBLIC_KEY, ["ES256"], options={"verify_aud": False})}
    except jwt.PyJWTError:
        return {"claims": None}


@query.field("me")
async def me(_root: object, info: GraphQLResolveInfo) -> asyncpg.Record | None:
    claims = info.context["claims"]
    return await pool.fetchrow(BY_ID, UUID(claims["sub"])) if claims else None


@query.field("users")
async def users(
    _root: object, info: GraphQLResolveInfo, first: int = 50, after: str | None = None
) -> dict[str, Any]:
    viewer = await me(None, info)
    if viewer is None or viewer["role"] != "ADMIN":
        raise GraphQLError("For administrators.", extensions={"code": "FORBIDDEN"})
    first = min(first, 100)
    rows = await _page(first, after)
    edges = [{"cursor": _cursor(row), "node": row} for row in rows[:first]]
    return {
        "edges": edges,
        "pageInfo": {
            "hasNextPage": len(rows) > first,
            "hasPreviousPage": after is not None,
            "startCursor": edges[0]["cursor"] if edges else None,
            "endCursor": edges[-1]["cursor"] if edges else None,
        },
    }


async def _page(first: int, after: str | None) -> list[asyncpg.Record]:
    if after is None:
        return await pool.fetch(FIRST, first + 1)
    created, user_id = base64.b64decode(after).decode().split("|")
    return await pool.fetch(AFTER, first + 1, datetime.fromisoformat(created), UUID(user_id))


def _cursor(row: asyncpg.Record) -> str:
    return base64.b64encode(f"{row['created_at'].isoformat()}|{row['id']}".encode()).decode()


@user.field("isActive")
def is_active(row: asyncpg.Record, _info: GraphQLResolveInfo) -> bool:
    until = row["suspended_until"]
    return row["suspended_at"] is None or (until is not None and until <= datetime.now(UTC))


@user.field("createdAt")
def created_at(row: asyncpg.Record, _info: GraphQLResolveInfo) -> str:
    return row["created_at"].isoformat()


@user.field("id")
@user.field("email")
def column(row: asyncpg.Record, info: GraphQLResolveInfo) -> object:
    return row[info.field_name]


graphql = GraphQL(
    make_executable_schema(TYPES, query, user),
    context_value=context,
    introspection=False,
    debug=False,
    explorer=None,
)
app = Starlette(
    lifespan=lifespan, routes=[Route("/graphql", graphql.handle_request, methods=["POST"])]
)
