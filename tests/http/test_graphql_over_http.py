"""GraphQL over HTTP: media types, status codes, and invalid bodies."""

import hashlib
import json
from typing import Any

import pytest
from graphql import get_introspection_query
from sqlalchemy import text

from app.database.database import Database
from app.main import create_app
from app.settings import Settings
from app.testing.clients import Api, Person
from app.testing.settings import settings_for

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
ASK = json.dumps({"query": "{ __typename }"})
ANSWER = {"data": {"__typename": "Query"}}


async def post(api: Api, body: str | bytes, **headers: str) -> Any:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.http.post("/graphql", content=body, headers={"content-type": JSON} | names)


def code(response: Any) -> str:
    body = response.json()
    assert "data" not in body
    return body["errors"][0]["extensions"]["code"]


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("*/*", JSON),
        ("", JSON),
        (JSON, JSON),
        (GRAPHQL_JSON, GRAPHQL_JSON),
        (f"{GRAPHQL_JSON}, {JSON}", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON},{JSON};q=0.9", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON};q=0.1, {JSON}", JSON),
        (f"{GRAPHQL_JSON};q=0, */*", JSON),
        (f"{GRAPHQL_JSON}, {JSON}, text/event-stream, multipart/mixed", GRAPHQL_JSON),
        ("application/*", JSON),
        (f"text/event-stream, {JSON}", JSON),
    ],
)
async def test_the_media_type_is_negotiated(api: Api, accept: str, answered: str) -> None:
    response = await post(api, ASK, accept=accept)

    assert (response.status_code, response.json()) == (200, ANSWER)
    assert response.headers["content-type"] == f"{answered}; charset=utf-8"
    assert response.headers["vary"] == "accept"


@pytest.mark.parametrize("accept", ["text/event-stream", "text/html", f"{JSON};q=0"])
async def test_a_client_that_accepts_neither_media_type_is_refused(api: Api, accept: str) -> None:
    response = await post(api, ASK, accept=accept)

    assert (response.status_code, code(response)) == (406, "BAD_REQUEST")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        b"\xff\xfe",
        b'{"query": "\xff"}',
        "[" * 60_000,
        '{"query":"{__typename}","variables":{"a":' + "[" * 20_000 + "]" * 20_000 + "}}",
        '{"query":"\\ud800"}',
    ],
)
async def test_a_body_that_is_not_json_is_refused(api: Api, body: str | bytes) -> None:
    response = await post(api, body)

    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "body",
    [
        "null",
        '"text"',
        "1",
        "[]",
        "[" + ASK + "]",
        '{"query":"{__typename}","variables":' + '{"a":' * 30 + "1" + "}" * 31,
        '{"query":"{__typename}","variables":[]}',
        '{"query":"{__typename}","extensions":"x"}',
        '{"query":"{__typename}","operationName":1}',
        '{"query":1}',
        '{"query":null}',
        '{"query":""}',
        "{}",
    ],
)
async def test_a_body_that_is_not_a_request_is_refused(api: Api, body: str) -> None:
    response = await post(api, body)

    assert (response.status_code, code(response)) == (422, "BAD_REQUEST")


async def test_an_integer_of_five_thousand_digits_is_refused(api: Api) -> None:
    query = "query($first: Int) { users(first: $first) { totalCount } }"
    number = "9" * 5000

    response = await post(api, f'{{"query":"{query}","variables":{{"first":{number}}}}}')

    assert response.status_code == 400
    assert "999" not in response.text


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/jsonx",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        f"{JSON}; charset=utf-16",
        "",
    ],
)
async def test_other_content_types_run_nothing(api: Api, content_type: str) -> None:
    response = await api.http.post(
        "/graphql", content=ASK, headers={"content-type": content_type} if content_type else {}
    )

    assert (response.status_code, code(response)) == (415, "BAD_REQUEST")


async def test_a_compressed_body_is_refused(api: Api) -> None:
    response = await post(api, ASK, content_encoding="gzip")

    assert (response.status_code, code(response)) == (415, "BAD_REQUEST")


async def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    response = await post(api, json.dumps({"query": "{ __typename }" + " " * 70_000}))

    assert (response.status_code, code(response)) == (413, "BAD_REQUEST")


async def test_a_get_runs_queries(api: Api) -> None:
    parameters = {
        "query": "query A { __typename }",
        "operationName": "",
        "variables": "",
        "extensions": "",
    }

    response = await api.http.get("/graphql", params=parameters)

    assert (response.status_code, response.json()) == (200, ANSWER)


async def test_a_get_runs_no_mutation(api: Api) -> None:
    mutation = 'mutation { login(input: {email: "", password: ""}) { __typename } }'

    response = await api.http.get("/graphql", params={"query": mutation})

    assert (response.status_code, code(response)) == (405, "BAD_REQUEST")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_refused(api: Api, method: str) -> None:
    response = await api.http.request(method, "/graphql")

    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, POST")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{", (400, "GRAPHQL_PARSE_FAILED")),
        ("{ nothing }", (422, "GRAPHQL_VALIDATION_FAILED")),
        ("subscription { me { id } }", (422, "GRAPHQL_VALIDATION_FAILED")),
        ("query A { __typename } query B { __typename }", (422, "OPERATION_RESOLUTION_FAILURE")),
        ("fragment F on User { id }", (422, "GRAPHQL_VALIDATION_FAILED")),
    ],
)
async def test_a_document_that_cannot_run_is_refused(
    api: Api, query: str, expected: tuple[int, str]
) -> None:
    response = await post(api, json.dumps({"query": query}))

    assert (response.status_code, code(response)) == expected


SECRET = "hunter2-hunter2"
LOGIN = "mutation($input: LoginInput!) { login(input: $input) { __typename } }"


@pytest.mark.parametrize(
    ("query", "variables", "status", "message"),
    [
        (
            LOGIN,
            {"input": {"email": "a@b.example", "password": [SECRET]}},
            422,
            "Variable '$input' has invalid value at .password: it is not a value of type String.",
        ),
        (
            LOGIN,
            {"input": {"email": "a@b.example", "password": "x", "other": SECRET}},
            422,
            "Variable '$input' has invalid value: LoginInput has no such field.",
        ),
        (
            LOGIN,
            {"input": SECRET},
            422,
            "Variable '$input' has invalid value: it is not a value of type LoginInput.",
        ),
        (
            LOGIN,
            {},
            422,
            "Variable '$input' has invalid value: a value of type LoginInput! is required.",
        ),
        (
            f'mutation {{ login(input: {{email: "", password: "{SECRET}", x: 1}}) {{ a }} }}',
            {},
            422,
            "LoginInput has no such field.",
        ),
        (
            f'{{ login(input: {{password "{SECRET}"}}) }}',
            {},
            400,
            "Syntax Error: Expected ':', found String.",
        ),
        (
            f"{{ login(input: {{password {SECRET[:7]}x}}) }}",
            {},
            400,
            "Syntax Error: Expected ':', found Name.",
        ),
        (
            f'{{ users(first: "{SECRET}") {{ totalCount }} }}',
            {},
            422,
            "It is not a value of type Int.",
        ),
        (
            f'{{ users(orderBy: {{direction: "{SECRET}"}}) {{ totalCount }} }}',
            {},
            422,
            "It is not a value of type OrderDirection.",
        ),
        (
            f'{{ users(filter: {{createdAt: {{from: "{SECRET}"}}}}) {{ totalCount }} }}',
            {},
            422,
            "DateTime takes an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z.",
        ),
    ],
)
async def test_errors_never_echo_what_was_sent(
    api: Api,
    caplog: pytest.LogCaptureFixture,
    query: str,
    variables: dict[str, Any],
    status: int,
    message: str,
) -> None:
    response = await post(api, json.dumps({"query": query, "variables": variables}))

    assert (response.status_code, response.json()["errors"][0]["message"]) == (status, message)
    assert SECRET[:7] not in response.text
    assert SECRET[:7] not in caplog.text


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("query($a: Int) { __typename }", "Variable '$a' is never used."),
        # Instead of a value: `$ecret` without quotes may be a password.
        (
            "{ users(first: $a) { totalCount } }",
            "A variable that is not defined is used here.",
        ),
        (
            "query($a: String) { users(first: $a) { totalCount } }",
            "Variable '$a' of type 'String' used in position expecting type 'Int'.",
        ),
        ("query($a: User) { __typename }", "Variable '$a' cannot be non-input type 'User'."),
    ],
)
async def test_an_error_with_a_variable_is_described(api: Api, query: str, message: str) -> None:
    response = await post(api, json.dumps({"query": query}))

    assert message in [error["message"] for error in response.json()["errors"]]


async def test_at_most_five_errors_of_two_hundred_characters_are_answered(api: Api) -> None:
    response = await post(
        api, json.dumps({"query": "{ " + " ".join("x" * 300 for _ in range(8)) + " }"})
    )

    assert len(response.json()["errors"]) <= 5
    assert all(len(error["message"]) <= 200 for error in response.json()["errors"])


async def test_an_answer_has_its_request_id_and_security_headers(api: Api) -> None:
    response = await post(api, ASK)

    assert len(response.headers["x-request-id"]) == 16
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in response.headers


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-123_x.y", True), ("a\tb c d e f", False), ("x" * 65, False)]
)
async def test_a_well_formed_request_id_is_kept(api: Api, sent: str, kept: bool) -> None:
    response = await post(api, ASK, x_request_id=sent)

    assert (response.headers["x-request-id"] == sent) is kept


async def test_an_internal_error_is_masked_and_found_by_its_id(
    api: Api, ada: Person, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    client = await api.login(ada)
    await rename(db, "sessions", "elsewhere")

    data = await client("{ me { id } }")

    await rename(db, "elsewhere", "sessions")
    request_id = client.errors[0]["extensions"]["requestId"]
    assert (data, client.errors[0]["message"]) == ({"me": None}, "Internal error")
    assert client.last_code == "INTERNAL_SERVER_ERROR"
    assert request_id in caplog.text


async def rename(db: Database, table: str, name: str) -> None:
    async with db.begin() as session:
        await session.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))


@pytest.mark.parametrize(
    "path", ["/graphql/", "/docs", "/openapi.json", "/redoc", "//evil.example/"]
)
async def test_other_paths_are_not_found_and_do_not_redirect(api: Api, path: str) -> None:
    response = await api.http.get(path, headers={"host": "evil.example"})

    assert response.status_code == 404
    assert "location" not in response.headers


async def test_an_automatic_persisted_query_is_stored_and_then_found(api: Api) -> None:
    document = "query Learned { __typename }"
    digest = hashlib.sha256(document.encode()).hexdigest()
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": digest}}

    unknown = await post(api, json.dumps({"extensions": extensions}))
    stored = await post(api, json.dumps({"query": document, "extensions": extensions}))
    known = await post(api, json.dumps({"extensions": extensions}))
    forged = await post(api, json.dumps({"query": "{ me { id } }", "extensions": extensions}))

    assert (unknown.status_code, code(unknown)) == (422, "PERSISTED_QUERY_NOT_FOUND")
    assert (stored.json(), known.json()) == (ANSWER, ANSWER)
    assert (forged.status_code, code(forged)) == (422, "BAD_REQUEST")


async def test_with_trusted_documents_only_nothing_else_runs(
    settings: Settings, tmp_path: Any
) -> None:
    manifest = tmp_path / "documents.json"
    manifest.write_text(json.dumps({"abc": "query Trusted { __typename }"}))
    assert settings.database_url is not None
    strict = settings_for(
        settings.database_url.get_secret_value(),
        persisted_documents=manifest,
        persisted_documents_only=True,
    )
    app = create_app(strict)

    async with app.router.lifespan_context(app), Api.of(app) as api:
        trusted = await post(api, json.dumps({"documentId": "abc"}))
        unknown = await post(api, json.dumps({"documentId": "def"}))
        untrusted = await post(api, ASK)

    assert trusted.json() == ANSWER
    assert (unknown.status_code, code(unknown)) == (422, "PERSISTED_QUERY_NOT_FOUND")
    assert (untrusted.status_code, code(untrusted)) == (422, "BAD_REQUEST")


async def test_introspection_and_suggestions_end_with_debug(settings: Settings) -> None:
    assert settings.database_url is not None
    app = create_app(settings_for(settings.database_url.get_secret_value(), debug=False))

    async with app.router.lifespan_context(app), Api.of(app) as api:
        introspection = await post(api, json.dumps({"query": "{ __schema { types { name } } }"}))
        typo = await post(api, json.dumps({"query": "{ mee { id } user(bye: 1) { id } }"}))
        page = await api.http.get("/graphql", headers={"accept": "text/html"})

    assert (introspection.status_code, code(introspection)) == (422, "GRAPHQL_VALIDATION_FAILED")
    assert "Did you mean" not in typo.text
    assert page.status_code == 406


async def test_graphiql_is_served_with_all_its_files(api: Api) -> None:
    page = await api.http.get("/graphql", headers={"accept": "text/html,*/*;q=0.8"})
    script = page.text.split('src="')[1].split('"')[0]
    asset = await api.http.get(script)
    plain = await api.http.get(script, headers={"accept-encoding": "identity"})

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert asset.headers["content-type"] == "text/javascript"
    assert asset.headers["content-encoding"] == "gzip"
    assert plain.status_code == 406
    assert (await api.http.get("/graphql/assets/nothing.js")).status_code == 404


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("{ " + " ".join(f"a{n}: __typename" for n in range(16)) + " }", "aliases"),
        ("{ me { id } " + " ".join(f"a{n}: me {{ id }}" for n in range(8)) + " }", "root_fields"),
        (
            "query { user(by: {id: 1}) " + "{ ... on User " * 61 + "{ id }" + "}" * 61 + " }",
            "spreads",
        ),
        (
            "mutation { "
            + " ".join(
                f'a{n}: login(input: {{email: "a@b.example", password: "p{n}"}}) {{ __typename }}'
                for n in range(2)
            )
            + " }",
            "credentials",
        ),
        (
            "query { users(first: 100) { nodes { sessions(first: 100) { nodes { id } } } } }",
            "cost",
        ),
    ],
)
async def test_a_document_beyond_a_limit_is_refused_with_the_name_of_the_limit(
    api: Api, query: str, limit: str
) -> None:
    response = await post(api, json.dumps({"query": query}))

    assert (response.status_code, code(response)) == (422, "GRAPHQL_VALIDATION_FAILED")
    assert response.json()["errors"][0]["extensions"]["limit"] == limit


async def test_a_page_size_in_a_variable_is_measured_with_its_value(api: Api) -> None:
    query = (
        "query($n: Int!) { users(first: $n) { nodes { sessions(first: 100) { nodes { id } } } } }"
    )

    dear = await post(api, json.dumps({"query": query, "variables": {"n": 100}}))
    cheap = await post(api, json.dumps({"query": query, "variables": {"n": 10}}))

    assert dear.json()["errors"][0]["extensions"]["limit"] == "cost"
    assert cheap.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_graphiql_can_introspect_everything(api: Api) -> None:
    query = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True,
        input_value_deprecation=True,
    )  # fmt: skip

    response = await post(api, json.dumps({"query": query}))

    assert len(response.json()["data"]["__schema"]["types"]) > 30


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "{ user(by: {id: $x}) { id } }",
            "A variable that is not defined is used here.",
        ),
        (
            "query($x: ID) { user(by: {id: $x}) { id } }",
            (
                "Variable '$x' is of type 'ID' but must be non-nullable to be used for OneOf Input"
                " Object 'UserBy'."
            ),
        ),
        (
            "{ user(by: {}) { id } }",
            "Exactly one field of UserBy must be given, and not null.",
        ),
        (
            "query($by: UserBy!) { user(by: $by) { id } }",
            (
                "Variable '$by' has invalid value: exactly one field of UserBy must be given, and"
                " not null."
            ),
        ),
    ],
)
async def test_an_invalid_one_of_input_is_refused(api: Api, query: str, message: str) -> None:
    response = await post(api, json.dumps({"query": query, "variables": {"by": {}}}))

    assert (response.status_code, response.json()["errors"][0]["message"]) == (422, message)


async def test_a_one_of_input_may_be_in_a_fragment_before_its_operation(api: Api) -> None:
    query = "fragment F on Query { user(by: {id: $x}) { id } } query Q($x: ID!) { ...F }"

    assert await api(query, x="User_01a2083b222b76c2921b1272dc98660f") == {"user": None}
    assert api.last_code == "UNAUTHENTICATED"


async def test_every_field_that_was_refused_has_its_error(api: Api) -> None:
    query = "{ " + " ".join(f"a{n}: users(first: {n}) {{ __typename }}" for n in range(8)) + " }"

    data = await api(query)

    assert data == {f"a{n}": None for n in range(8)}
    assert [(each["path"], each["extensions"]["code"]) for each in api.errors] == [
        ([f"a{n}"], "UNAUTHENTICATED") for n in range(8)
    ]


@pytest.mark.parametrize("name", ["variables", "extensions"])
async def test_an_object_of_more_than_a_thousand_values_is_refused(api: Api, name: str) -> None:
    def ask(values: int) -> str:
        return json.dumps({"query": "{ __typename }", name: {"a": [0] * (values - 1)}})

    most, one_more = await post(api, ask(1_000)), await post(api, ask(1_001))

    assert (most.status_code, most.json()) == (200, ANSWER)
    assert (one_more.status_code, code(one_more)) == (422, "BAD_REQUEST")
    assert one_more.json()["errors"][0]["message"] == f"`{name}` has more than 1,000 values."


async def test_a_query_string_of_more_than_fifty_parameters_is_refused(api: Api) -> None:
    response = await api.http.get("/graphql?query={__typename}" + "&a=1" * 50)

    assert (response.status_code, code(response)) == (422, "BAD_REQUEST")


async def test_a_variable_with_many_errors_is_refused_after_a_few(api: Api) -> None:
    query = "query($f: UserFilter) { users(filter: $f) { totalCount } }"
    values = {f"x{number}": number for number in range(900)}

    response = await post(api, json.dumps({"query": query, "variables": {"f": values}}))

    assert (response.status_code, code(response)) == (422, "BAD_USER_INPUT")
    assert len(response.json()["errors"]) <= 5
