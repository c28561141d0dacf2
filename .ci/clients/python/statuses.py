"""Checks how Python's clients handle status codes other than 200, against PORTICO_URL."""

import asyncio
import os
from collections.abc import Awaitable, Iterable, Mapping
from typing import TypeVar

from gql import Client as GqlClient
from gql import gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from portico_client import Client
from portico_client.exceptions import GraphQLClientGraphQLMultiError, GraphQLClientHttpError

ACCEPT = {"Accept": "application/graphql-response+json, application/json;q=0.9"}
PARTIAL = "{ __typename users { totalCount } }"
E = TypeVar("E", bound=Exception)


async def ariadne_codegen(url: str) -> None:
    """It raises errors with data, and keeps only the status of answers that are not 2xx."""
    async with Client(url, ACCEPT) as client:
        response = await client.execute(PARTIAL)
        partial = await raised(client.people(), GraphQLClientGraphQLMultiError)
        invalid = await raised(answer(client, "{ noSuchField }"), GraphQLClientHttpError)

    same(codes(each.extensions for each in partial.errors), ["UNAUTHENTICATED"])
    same(partial.data, {"users": None})
    same((response.status_code, invalid.status_code), (294, 422))


async def answer(client: Client, query: str) -> object:
    return client.get_data(await client.execute(query))


async def gql_over_httpx(url: str) -> None:
    """It raises errors with their codes, whatever the status."""
    async with GqlClient(transport=HTTPXAsyncTransport(url, headers=ACCEPT)) as session:
        partial = await raised(session.execute(gql(PARTIAL)), TransportQueryError)
        invalid = await raised(session.execute(gql("{ noSuchField }")), TransportQueryError)

    same(partial.data, {"__typename": "Query", "users": None})
    same(codes(each["extensions"] for each in partial.errors or ()), ["UNAUTHENTICATED"])
    same(codes(each["extensions"] for each in invalid.errors or ()), ["GRAPHQL_VALIDATION_FAILED"])


async def raised(request: Awaitable[object], kind: type[E]) -> E:
    try:
        found = await request
    except kind as error:
        return error
    raise SystemExit(f"{kind.__name__} was not raised: {found!r}")


def codes(extensions: Iterable[Mapping[str, object] | None]) -> list[object]:
    return [(each or {}).get("code") for each in extensions]


def same(found: object, expected: object) -> None:
    if found != expected:
        raise SystemExit(f"expected {expected!r}, found {found!r}")


async def main(url: str) -> None:
    await ariadne_codegen(url)
    await gql_over_httpx(url)
    print("ariadne-codegen and gql read 294 and 422.")


asyncio.run(main(f"{os.environ['PORTICO_URL']}/graphql"))
