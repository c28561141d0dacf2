"""Waits for the server at this URL, signs in, creates a note, and reads it below `me`."""

import sys
import time

import httpx

LOGIN = """
mutation Login($input: LoginInput!) {
  login(input: $input) { ... on SignedIn { tokens { accessToken } } }
}
"""
CREATE = 'mutation { createNote(input: {title: "Milk", body: ""}) { __typename } }'
MINE = "{ me { notes { nodes { title } } } }"
START_SECONDS = 60


def main(url: str) -> None:
    with httpx.Client(base_url=url) as client:
        wait(client)
        credentials = {"email": "admin@example.com", "password": "correct horse battery staple"}
        signed_in = ask(client, LOGIN, input=credentials)["login"]
        client.headers["authorization"] = f"Bearer {signed_in['tokens']['accessToken']}"
        assert ask(client, CREATE) == {"createNote": {"__typename": "NoteSaved"}}
        assert ask(client, MINE) == {"me": {"notes": {"nodes": [{"title": "Milk"}]}}}


def ask(client: httpx.Client, query: str, **variables: object) -> dict:
    answer = client.post("/graphql", json={"query": query, "variables": variables}).json()
    assert "errors" not in answer, answer
    return answer["data"]


def wait(client: httpx.Client) -> None:
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends:
        try:
            if client.get("/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    sys.exit(f"not ready after {START_SECONDS} s")


main(sys.argv[1])
