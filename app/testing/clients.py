"""Clients that send GraphQL over ASGI, and keep tokens as a browser would."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from fastapi import FastAPI

from app.testing.leaks import SECRETS

SIGNED_IN = """
  __typename
  ... on SignedIn {
    user { id email displayName role isActive }
    session { id isCurrent }
    tokens { accessToken refreshToken accessTokenExpiresAt refreshTokenExpiresAt }
  }
  ... on Problem { message }
"""
REGISTER = f"""
mutation Register($input: RegisterInput!) {{
  register(input: $input) {{
    {SIGNED_IN}
    ... on InvalidInput {{ issues {{ path code message }} }}
  }}
}}
"""
LOGIN = f"mutation Login($input: LoginInput!) {{ login(input: $input) {{ {SIGNED_IN} }} }}"
UNIQUE_HEADERS = {"date", "x-request-id"}
ME = "query Me { me { email } }"


@dataclass(frozen=True, slots=True)
class Person:
    email: str
    password: str
    name: str | None = None
    id: str = ""

    @property
    def registration(self) -> dict[str, Any]:
        return {"email": self.email, "password": self.password, "displayName": self.name}

    @property
    def credentials(self) -> dict[str, Any]:
        return {"email": self.email, "password": self.password}


@dataclass(slots=True)
class Api:
    """One client. Calling it sends an operation and returns `data`; `errors` has the errors."""

    http: httpx.AsyncClient
    access_token: str | None = None
    refresh_token: str | None = None
    session_id: str | None = None
    last: httpx.Response | None = None
    errors: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    user_agent: str | None = None
    device_token: str | None = None

    @classmethod
    @asynccontextmanager
    async def of(cls, app: FastAPI) -> "AsyncGenerator[Api]":
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://portico") as http:
            yield cls(http)

    @property
    def last_code(self) -> str | None:
        """The code of the first error of the last answer."""
        return self.errors[0]["extensions"]["code"] if self.errors else None

    @property
    def last_seen(self) -> tuple[int, dict[str, str], bytes]:
        """What distinguishes the last answer from others: all of it but what is always unique."""
        assert self.last is not None
        headers = {
            name: value for name, value in self.last.headers.items() if name not in UNIQUE_HEADERS
        }
        return self.last.status_code, headers, self.last.content

    async def __call__(self, query: str, **variables: Any) -> Any:
        SECRETS.add_passwords_in(variables)
        body = {"query": query, "variables": variables}
        headers = (
            {"authorization": f"Bearer {self.access_token}"}
            if self.access_token is not None
            else {}
        )
        if self.user_agent is not None:
            headers["user-agent"] = self.user_agent
        if self.device_token is not None:
            headers["portico-device"] = self.device_token
        self.last = await self.http.post("/graphql", json=body, headers=headers)
        answer = self.last.json()
        self.errors = answer.get("errors", [])
        return answer.get("data")

    async def register(self, person: Person) -> Person:
        data = await self(REGISTER, input=person.registration)
        assert data["register"]["__typename"] == "SignedIn", data
        return replace(person, id=data["register"]["user"]["id"])

    async def login(self, person: Person) -> "Api":
        """Sign in on another device."""
        data = await self(LOGIN, input=person.credentials)
        assert data["login"]["__typename"] == "SignedIn", data
        return self.with_tokens(data["login"])

    def with_tokens(self, signed_in: dict[str, Any]) -> "Api":
        tokens = signed_in["tokens"]
        return Api(
            self.http, tokens["accessToken"], tokens["refreshToken"], signed_in["session"]["id"]
        )

    def of_program(self, name: str) -> "Api":
        """Returns a guest at the same address with another User-Agent."""
        return Api(self.http, user_agent=name)

    def of_device(self, device_token: str) -> "Api":
        """Returns a guest on a device that has signed in before."""
        return Api(self.http, device_token=device_token)

    def with_bearer(self, access_token: str) -> "Api":
        return Api(self.http, access_token)
