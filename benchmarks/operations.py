"""The two operations that are measured, and checks of their answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from client import Client
from database import address
from processes import BenchmarkFailed
from stage import Server, Stage

PAGE = 50
PERSON = {"id", "email", "isActive", "createdAt"}
PAGE_INFO = {"hasNextPage", "hasPreviousPage", "startCursor", "endCursor"}


@dataclass(frozen=True)
class Operation:
    name: str
    title: str
    query: str


ME = Operation("me", "me, four fields", "{ me { id email isActive createdAt } }")
USERS = Operation(
    "users",
    "users(first: 50), four fields each, with pageInfo",
    "{ users(first: 50) { edges { cursor node { id email isActive createdAt } } "
    "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }",
)
OPERATIONS = (ME, USERS)


def check(server: Server, stage: Stage, operation: Operation, token: str) -> None:
    """Send one request and compare the answer with the database.

    Raises:
        BenchmarkFailed: the answer is wrong, so its speed would mean nothing.

    """
    data = check_answer(server, stage, operation, token)
    if operation is USERS:
        _check_second_page(server, token, data)
    if _is_answered(server, operation, token[:-6] + "AAAAAA"):
        raise BenchmarkFailed(f"{server.name} answers a token whose signature is wrong")


def check_answer(server: Server, stage: Stage, operation: Operation, token: str) -> dict[str, Any]:
    """Send one request and return its answer if it agrees with the database.

    Raises:
        BenchmarkFailed: it does not.

    """
    data = Client(server.port, token)(operation.query)
    correct = _is_first_member(data) if operation is ME else _is_first_page(data, stage)
    if not correct:
        raise BenchmarkFailed(f"{server.name} answers {operation.name} wrongly: {str(data)[:500]}")
    return data


def check_ended_session(server: Server, operation: Operation, token: str) -> None:
    """Check that a valid token of a session that was signed out is refused.

    Raises:
        BenchmarkFailed: the server does not ask the session.

    """
    if _is_answered(server, operation, token):
        raise BenchmarkFailed(f"{server.name} answers a token whose session has ended")


def _is_answered(server: Server, operation: Operation, token: str) -> bool:
    _, answer = Client(server.port, token).send("POST", "/graphql", _body(operation))
    return answer.get("data") not in (None, {operation.name: None})


def _is_first_member(data: dict[str, Any]) -> bool:
    return list(data) == ["me"] and _is_person(data["me"], 1)


def _is_first_page(data: dict[str, Any], stage: Stage) -> bool:
    page = data["users"]
    edges, info = page["edges"], page["pageInfo"]
    return (
        list(page) == ["edges", "pageInfo"]
        and len(edges) == min(PAGE, stage.people)
        and all(_is_person(edge["node"], number) for number, edge in enumerate(edges, 1))
        and set(info) == PAGE_INFO
        and info["hasNextPage"]
        and not info["hasPreviousPage"]
        and info["startCursor"] == edges[0]["cursor"]
        and info["endCursor"] == edges[-1]["cursor"]
    )


def _check_second_page(server: Server, token: str, data: dict[str, Any]) -> None:
    following = USERS.query.replace("first: 50", "first: 50, after: $after")
    query = f"query ($after: String) {following}"
    after = data["users"]["pageInfo"]["endCursor"]
    edges = Client(server.port, token)(query, {"after": after})["users"]["edges"]
    if not _is_person(edges[0]["node"], PAGE + 1):
        raise BenchmarkFailed(f"{server.name} does not go on after a cursor: {edges[0]}")


def _is_person(node: dict[str, Any], number: int) -> bool:
    created = datetime.fromisoformat(node["createdAt"]).timestamp()
    return (
        set(node) == PERSON
        and node["email"] == address(number)
        and node["isActive"] is True
        and created == 1600000000 + number * 60
    )


def _body(operation: Operation) -> str:
    return f'{{"query": "{operation.query}"}}'
