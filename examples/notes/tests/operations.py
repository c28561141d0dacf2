"""GraphQL operations that several tests send."""

from typing import Any

from app.testing.clients import Api

CREATE = """
mutation Create($input: CreateNoteInput!) {
  createNote(input: $input) {
    __typename
    ... on NoteSaved { note { id title body } }
    ... on InvalidInput { issues { path code limit } }
    ... on Problem { message }
    ... on TooManyNotes { limit }
  }
}
"""
OWN_TITLES = "{ me { notes { nodes { title } } } }"


async def create(api: Api, title: str = "Milk", body: str = "Two bottles.") -> Any:
    return (await api(CREATE, input={"title": title, "body": body}))["createNote"]


async def titles(api: Api) -> list[str]:
    return [note["title"] for note in (await api(OWN_TITLES))["me"]["notes"]["nodes"]]
