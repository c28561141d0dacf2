"""The status codes of GraphQL over HTTP (September 2026, 5.4), case by case."""

import json
from typing import Any, NamedTuple

import pytest

from app.database.database import Database
from app.testing.clients import LOGIN, Api, Person
from tests.http.test_graphql_over_http import rename

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
# Accept headers of clients that know the media type of GraphQL, and of others.
MODERN = (GRAPHQL_JSON, f"{GRAPHQL_JSON}, {JSON};q=0.9")
LEGACY = (JSON, "*/*", f"{JSON}, text/plain, */*")
PARTIAL = "{ __typename users { totalCount } }"
NULL = "{ users { totalCount } }"
TYPED = "query ($first: Int) { users(first: $first) { totalCount } }"
MUTATION = "mutation { logout { __typename } }"


class Case(NamedTuple):
    """A request body, and the status and code of its answer."""

    body: Any
    status: int
    code: str

    @property
    def sent(self) -> str | bytes:
        return self.body if isinstance(self.body, str | bytes) else json.dumps(self.body)


WITHOUT_DATA = {
    "the body is not JSON": Case("NONSENSE", 400, "BAD_REQUEST"),
    "the body ends early": Case('{"query":', 400, "BAD_REQUEST"),
    "the document does not parse": Case({"query": "{"}, 400, "GRAPHQL_PARSE_FAILED"),
    "the parameter has another name": Case({"qeury": "{ __typename }"}, 422, "BAD_REQUEST"),
    "the variables are a list": Case({"query": TYPED, "variables": [7]}, 422, "BAD_REQUEST"),
    "the operation's name is a number": Case(
        {"query": "{ __typename }", "operationName": 1}, 422, "BAD_REQUEST"
    ),
    "the document does not validate": Case({"query": "{ x }"}, 422, "GRAPHQL_VALIDATION_FAILED"),
    "a limit is exceeded": Case(
        {"query": "{ " + "a: me { id } " * 9 + "}"}, 422, "GRAPHQL_VALIDATION_FAILED"
    ),
    "the operation is not named": Case(
        {"query": "query A { __typename } query B { __typename }"},
        422,
        "OPERATION_RESOLUTION_FAILURE",
    ),
    "the operation does not exist": Case(
        {"query": "query A { __typename }", "operationName": "B"},
        422,
        "OPERATION_RESOLUTION_FAILURE",
    ),
    "a variable is of another type": Case(
        {"query": TYPED, "variables": {"first": "x"}}, 422, "BAD_USER_INPUT"
    ),
    "the hash is unknown": Case(
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}},
        422,
        "PERSISTED_QUERY_NOT_FOUND",
    ),
    "the document's id is unknown": Case({"documentId": "abc"}, 422, "PERSISTED_QUERY_NOT_FOUND"),
}


async def ask(api: Api, sent: str | bytes, accept: str, **headers: str) -> Any:
    names = {"content-type": JSON, "accept": accept} | headers
    return await api.http.post("/graphql", content=sent, headers=names)


def received(response: Any) -> tuple[int, str, dict[str, Any]]:
    return response.status_code, response.headers["content-type"], response.json()


def shape(response: Any) -> tuple[int, str, set[str], str]:
    status, content_type, body = received(response)
    return status, content_type, set(body), body["errors"][0]["extensions"]["code"]


@pytest.mark.parametrize("accept", MODERN + LEGACY)
@pytest.mark.parametrize("case", WITHOUT_DATA.values(), ids=WITHOUT_DATA)
async def test_what_was_not_executed_has_a_4xx_and_the_type_of_graphql_for_every_client(
    api: Api, case: Case, accept: str
) -> None:
    response = await ask(api, case.sent, accept)

    media_type = f"{GRAPHQL_JSON}; charset=utf-8"
    assert shape(response) == (case.status, media_type, {"errors"}, case.code)


@pytest.mark.parametrize("accept", MODERN + LEGACY)
async def test_data_without_errors_has_a_200(api: Api, accept: str) -> None:
    response = await ask(api, json.dumps({"query": "{ me { id } }"}), accept)

    media_type = GRAPHQL_JSON if accept in MODERN else JSON
    assert received(response) == (200, f"{media_type}; charset=utf-8", {"data": {"me": None}})


@pytest.mark.parametrize("query", [PARTIAL, NULL])
@pytest.mark.parametrize("accept", MODERN)
async def test_data_with_errors_has_a_294(api: Api, query: str, accept: str) -> None:
    response = await ask(api, json.dumps({"query": query}), accept)

    media_type = f"{GRAPHQL_JSON}; charset=utf-8"
    assert shape(response) == (294, media_type, {"data", "errors"}, "UNAUTHENTICATED")
    # `response.ok` in browsers.
    assert response.is_success


@pytest.mark.parametrize("query", [PARTIAL, NULL])
@pytest.mark.parametrize("accept", LEGACY)
async def test_data_with_errors_has_a_200_as_plain_json(api: Api, query: str, accept: str) -> None:
    response = await ask(api, json.dumps({"query": query}), accept)

    media_type = f"{JSON}; charset=utf-8"
    assert shape(response) == (200, media_type, {"data", "errors"}, "UNAUTHENTICATED")


async def test_data_that_is_null_has_a_294_with_its_errors(
    api: Api, ada: Person, db: Database
) -> None:
    await rename(db, "sessions", "elsewhere")

    body = json.dumps({"query": LOGIN, "variables": {"input": ada.credentials}})
    response = await ask(api, body, GRAPHQL_JSON)

    await rename(db, "elsewhere", "sessions")
    assert (response.status_code, response.json()["data"]) == (294, None)
    assert shape(response)[3] == "INTERNAL_SERVER_ERROR"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_mutation_by_a_safe_method_has_a_405_that_allows_post(
    api: Api, method: str
) -> None:
    response = await api.http.request(method, "/graphql", params={"query": MUTATION})

    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("accept", MODERN + LEGACY)
async def test_a_head_is_answered_as_a_get_without_its_content(api: Api, accept: str) -> None:
    asked: Any = {"params": {"query": PARTIAL}, "headers": {"accept": accept}}

    get = await api.http.get("/graphql", **asked)
    head = await api.http.head("/graphql", **asked)

    assert get.status_code == (294 if accept in MODERN else 200)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert without_id(head.headers) == without_id(get.headers)


async def test_a_head_of_graphiql_is_answered_as_a_get(api: Api) -> None:
    page = {"accept": "text/html"}

    get, head = (
        await api.http.get("/graphql", headers=page),
        await api.http.head("/graphql", headers=page),
    )

    assert (get.status_code, head.status_code) == (200, 200)
    assert without_id(head.headers) == without_id(get.headers)


def without_id(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "x-request-id"}


async def test_a_method_that_is_not_supported_has_a_405_with_those_that_are(api: Api) -> None:
    response = await api.http.put("/graphql", content="{}")

    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, POST")


@pytest.mark.parametrize("accept", ["text/html", "image/png, text/*", f"{JSON};q=0"])
async def test_a_client_that_accepts_neither_type_has_a_406(api: Api, accept: str) -> None:
    response = await ask(api, json.dumps({"query": "{ __typename }"}), accept)

    assert shape(response)[0] == 406


async def test_a_body_of_another_type_has_a_415_and_one_that_is_too_large_a_413(api: Api) -> None:
    large = json.dumps({"query": "{ __typename }" + " " * 70_000})

    other = await ask(api, "{ __typename }", JSON, **{"content-type": "application/graphql"})
    too_large = await ask(api, large, JSON)

    media_type = f"{GRAPHQL_JSON}; charset=utf-8"
    assert shape(other) == (415, media_type, {"errors"}, "BAD_REQUEST")
    assert shape(too_large) == (413, media_type, {"errors"}, "BAD_REQUEST")


async def test_a_query_string_that_is_too_long_has_a_414(api: Api) -> None:
    response = await api.http.get("/graphql?query=" + "a" * 20_000)

    assert shape(response)[0] == 414


@pytest.mark.parametrize(
    ("query_string", "status"),
    [
        ("query=%ff", 400),
        ("query={__typename}&variables={", 400),
        ("query={__typename}&variables=[7]", 422),
        ("variables={}", 422),
        ("query={x}", 422),
        ("query={", 400),
    ],
)
async def test_an_invalid_get_has_the_status_of_a_post(
    api: Api, query_string: str, status: int
) -> None:
    response = await api.http.get(f"/graphql?{query_string}")

    assert shape(response)[0] == status
