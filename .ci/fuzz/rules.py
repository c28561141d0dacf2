"""Hooks of schemathesis for Portico: authentication, existing ids, and checks of answers."""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import schemathesis
from graphql import parse, print_ast, visit
from graphql.language import (
    REMOVE,
    ArgumentNode,
    EnumValueNode,
    IntValueNode,
    StringValueNode,
    ValueNode,
    Visitor,
    parse_value,
)
from hypothesis import strategies as st

URL = os.environ["PORTICO_URL"] + "/graphql"
AS_GUEST = os.environ["FUZZ_ROLE"] == "guest"
SCHEMA = Path(__file__).parents[2] / "schema.graphql"
LOGIN = """
mutation ($input: LoginInput!) {
  login(input: $input) { ... on SignedIn { tokens { accessToken } user { id } session { id } } }
}
"""
ID = re.compile(r"([A-Za-z]+)_[0-9a-f]{32}")
# For a client that does not accept the media type of GraphQL.
EXECUTED = (200, ["application/json; charset=utf-8"])
NOT_EXECUTED = [
    (status, ["application/graphql-response+json; charset=utf-8"]) for status in (400, 422)
]
CODES = {
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "BAD_USER_INPUT",
    "OPERATION_RESOLUTION_FAILURE",
    "UNAUTHENTICATED",
    # Of a passkey: nobody has proved the address of the first administrator.
    "EMAIL_NOT_VERIFIED",
}
REFUSED = "UNAUTHENTICATED"
ROOTS = {"Query", "Mutation"}
# The type of an id if the name of the argument does not state it.
ANYBODY = "User"
OTHER_END = {"last", "after", "before"}
LARGEST_PAGE = 20


# Values of the scalar JSON: any, and some that are almost what browsers send.
BASE64URL = st.sampled_from(["AAAA", "AA", "AAA", "A", "AA==", "+/+/", "", "eyJ0eXBlIjoxfQ"])
ANY_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
    | BASE64URL,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True), inner, max_size=3
        )
    ),
    max_leaves=8,
)
RESPONSE = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            "clientDataJSON",
            "authenticatorData",
            "signature",
            "userHandle",
            "attestationObject",
            "transports",
        ),
        BASE64URL | ANY_VALUE,
    ),
)
CREDENTIAL = st.fixed_dictionaries(
    {"id": BASE64URL, "type": st.just("public-key"), "response": RESPONSE},
    optional={"rawId": BASE64URL},
)


def literal(value: Any) -> ValueNode:
    """Returns a value as it is written in a document."""
    return parse_value(written(value), no_location=True)


def written(value: Any) -> str:
    if isinstance(value, dict):
        members = (f"{name}: {written(each)}" for name, each in value.items())
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return json.dumps(value)


schemathesis.graphql.scalar("JSON", (ANY_VALUE | CREDENTIAL).map(literal))


class Caller:
    """A guest, or an administrator who signs in again after an operation ended the session."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.ids: dict[str, str] = {}

    def be_signed_in(self) -> None:
        if not self.headers or self._ask("{ me { id } }")["me"] is None:
            self.headers = {}
            names = {"email": "PORTICO_EMAIL", "password": "PORTICO_PASSWORD"}
            credentials = {name: os.environ[variable] for name, variable in names.items()}
            signed_in = self._ask(LOGIN, input=credentials)["login"]
            self.headers = {"Authorization": f"Bearer {signed_in['tokens']['accessToken']}"}
            self.learn(json.dumps(signed_in))

    def learn(self, answer: str) -> None:
        """Store the last id of each kind of node in an answer."""
        self.ids |= {each[1]: each[0] for each in ID.finditer(answer)}

    def id_for(self, argument: str) -> str | None:
        kind = argument.removesuffix("Id").capitalize()
        return self.ids.get(kind, self.ids.get(ANYBODY))

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"content-type": "application/json", **self.headers}
        with urlopen(Request(URL, body, headers)) as answer:  # noqa: S310 - a loopback address
            return json.load(answer)["data"]


asker = Caller()


class NoAdministrators(Visitor):
    """Makes no second administrator, who could take the role of the first one, who asks."""

    def enter_enum_value(self, node: EnumValueNode, *_: Any) -> EnumValueNode | None:
        return EnumValueNode(value="MEMBER") if node.value == "ADMIN" else None


class Sensible(Visitor):
    """Makes arguments valid: pages from one end and of an allowed size, and existing ids."""

    def enter_argument(self, node: ArgumentNode, *_: Any) -> Any:
        return REMOVE if node.name.value in OTHER_END else self._better(node)

    def enter_object_field(self, node: Any, *_: Any) -> Any:
        return self._better(node)

    def _better(self, node: Any) -> Any:
        name, value = node.name.value, node.value
        if name == "first" and isinstance(value, IntValueNode):
            size = abs(int(value.value)) % LARGEST_PAGE
            return type(node)(name=node.name, value=IntValueNode(value=str(size)))
        known = asker.id_for(name) if name in id_names() else None
        if known and isinstance(value, StringValueNode):
            return type(node)(name=node.name, value=StringValueNode(value=known))
        return None


@schemathesis.hook
def map_case(_context: Any, case: Any) -> Any:
    """Make every other request valid, so that it is executed."""
    if case.meta.generation.mode.is_positive:
        case.body = print_ast(visit(parse(case.body), NoAdministrators()))
    if case.meta.generation.mode.is_positive and len(case.body) % 2:
        case.body = print_ast(visit(parse(case.body), Sensible()))
    return case


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    if not AS_GUEST:
        asker.be_signed_in()
        case.headers.update(asker.headers)


@schemathesis.check
def answers_are_those_of_portico(_context: Any, response: Any, case: Any) -> None:
    """Check answers against GraphQL over HTTP, error codes, and what guests may see."""
    answer = response.json()
    asker.learn(response.text)
    seen = (response.status_code, response.headers["content-type"])
    assert seen in ([EXECUTED] if "data" in answer else NOT_EXECUTED), seen
    assert {*answer} <= {"data", "errors"}
    errors = answer.get("errors", [])
    assert ("errors" in answer) == bool(errors)
    assert all(len(error["message"]) <= 200 for error in errors)
    codes = {error["extensions"]["code"] for error in errors}
    assert codes <= CODES, codes - CODES
    if "data" in answer:
        field = case.operation.label.partition(".")[2]
        assert (REFUSED in codes) == (AS_GUEST and field not in for_guests())


@cache
def id_names() -> set[str]:
    """Returns the names of arguments and input fields that take an id."""
    found: set[str] = set()

    class Inputs(Visitor):
        def enter_input_value_definition(self, node: Any, *_: Any) -> None:
            if "ID" in re.findall(r"\w+", print_ast(node.type)):
                found.add(node.name.value)

    visit(parse(SCHEMA.read_text()), Inputs())
    return found


@cache
def for_guests() -> set[str]:
    """Returns the fields that guests may use."""
    roots = [each for each in parse(SCHEMA.read_text()).definitions if _name(each) in ROOTS]
    fields = [field for root in roots for field in root.fields]
    return {
        _name(field) for field in fields if "GUEST" in "".join(map(print_ast, field.directives))
    }


def _name(node: Any) -> str:
    return node.name.value if getattr(node, "name", None) else ""
