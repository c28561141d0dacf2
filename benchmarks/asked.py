"""What is asked of one process: each operation with its next request, and what it learns."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from client import Client
from database import address
from operations import ME, USERS
from processes import BenchmarkFailed
from stage import ADMINISTRATORS, Server, Stage

NODE = "query($id: ID!) { node(id: $id) { ... on User { id email isActive createdAt } } }"
INCLUDE = "query($all: Boolean!) { me { id email isActive createdAt @include(if: $all) } }"
SESSIONS = "{ users(first: 50) { nodes { id sessions(first: 5) { nodes { id lastUsedAt } } } } }"
SIGN_IN = """
mutation($input: LoginInput!) {
  login(input: $input) { ... on SignedIn { user { id } tokens { accessToken refreshToken } } }
}
"""
REFRESH = """
mutation($input: RefreshSessionInput!) {
  refreshSession(input: $input) {
    __typename ... on SignedIn { tokens { accessToken refreshToken accessTokenExpiresIn } }
  }
}
"""


@dataclass
class Asked:
    """One query, the same each time."""

    name: str
    query: str
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def next(self) -> bytes:
        """Returns the body of the next request."""
        return orjson.dumps({"query": self.query, "variables": self.variables})

    def learn(self, data: dict[str, Any]) -> None:
        """Take what the next requests need from an answer."""


@dataclass
class Refreshed(Asked):
    """Sessions that are refreshed in turn, each with the token of its last answer."""

    tokens: deque[str] = field(default_factory=deque[str])

    def next(self) -> bytes:
        variables = {"input": {"refreshToken": self.tokens.popleft()}}
        return orjson.dumps({"query": self.query, "variables": variables})

    def learn(self, data: dict[str, Any]) -> None:
        answer = data["refreshSession"]
        if answer["__typename"] != "SignedIn":
            raise BenchmarkFailed(f"refreshSession answered {answer['__typename']}")
        self.tokens.append(answer["tokens"]["refreshToken"])


@dataclass(frozen=True)
class SignedIn:
    """One session of a user."""

    user_id: str
    access_token: str
    refresh_token: str


def sign_in(set_up: Stage, server: Server, numbers: Iterable[int]) -> list[SignedIn]:
    """Sign in as the n-th user, for each of the numbers."""
    client = Client(server.port)
    inputs = [{"input": {"email": address(n), "password": set_up.password}} for n in numbers]
    logins = [client(SIGN_IN, each)["login"] for each in inputs]
    return [
        SignedIn(each["user"]["id"], each["tokens"]["accessToken"], each["tokens"]["refreshToken"])
        for each in logins
    ]


def sign_in_administrators(set_up: Stage, server: Server, sessions: int) -> list[SignedIn]:
    """Sign the administrators in, in turn."""
    return sign_in(set_up, server, (set_up.people - n % ADMINISTRATORS for n in range(sessions)))


def all_asked(sessions: list[SignedIn]) -> list[Asked]:
    """Returns all operations that are measured in one process."""
    refresh_tokens = deque(each.refresh_token for each in sessions)
    return [
        Asked("__typename", "{ __typename }"),
        Asked(ME.name, ME.query),
        Asked(USERS.name, USERS.query),
        Refreshed("refreshSession", REFRESH, tokens=refresh_tokens),
        Asked("node", NODE, {"id": sessions[0].user_id}),
        Asked("me with @include", INCLUDE, {"all": True}),
        Asked("users with sessions", SESSIONS),
    ]
