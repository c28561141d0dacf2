"""A GraphQL client of a few lines: one kept-alive connection, one request at a time."""

import http.client
import json
from typing import Any

from processes import BenchmarkFailed

TIMEOUT_SECONDS = 60

LOGIN = """
mutation Login($input: LoginInput!) {
  login(input: $input) {
    __typename
    ... on SignedIn { tokens { accessToken } }
  }
}
"""


class Client:
    def __init__(self, port: int, token: str | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        self._headers = {"content-type": "application/json"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"

    def __call__(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns `data`.

        Raises:
            BenchmarkFailed: there are errors, or no data.

        """
        body: dict[str, Any] = {"query": query}
        if variables:
            body["variables"] = variables
        status, answer = self.send("POST", "/graphql", json.dumps(body))
        if status != http.HTTPStatus.OK or not answer.get("data") or answer.get("errors"):
            raise BenchmarkFailed(f"HTTP {status}: {json.dumps(answer)[:500]}")
        return answer["data"]

    def get(self, path: str) -> dict[str, Any]:
        return self.send("GET", path, None)[1]

    def send(self, method: str, path: str, body: str | None) -> tuple[int, dict[str, Any]]:
        self._connection.request(method, path, body, self._headers)
        response = self._connection.getresponse()
        raw = response.read()
        try:
            return response.status, json.loads(raw)
        except ValueError:
            raise BenchmarkFailed(f"HTTP {response.status}: {raw[:300]!r}") from None

    def login(self, email: str, password: str) -> str | None:
        """Sign in; returns the access token, or None if the credentials were refused.

        Raises:
            BenchmarkFailed: another answer, which would invalidate the measurement.

        """
        result = self(LOGIN, {"input": {"email": email, "password": password}})["login"]
        if result["__typename"] == "SignedIn":
            return str(result["tokens"]["accessToken"])
        if result["__typename"] == "InvalidCredentials":
            return None
        raise BenchmarkFailed(f"login answered {result['__typename']}")
