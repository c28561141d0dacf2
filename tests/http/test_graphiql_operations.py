"""The operations with which the first tab of GraphiQL begins."""

from pathlib import Path

from graphql import OperationDefinitionNode, parse

from app.testing.clients import Api, Person

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "app/http/graphiql/src/operations.graphql").read_text(encoding="utf-8")


async def test_an_administrator_can_run_each_operation(api: Api, grace: Person) -> None:
    client = await api.login(grace)
    definitions = [
        each for each in parse(DOCUMENT).definitions if isinstance(each, OperationDefinitionNode)
    ]
    names = [each.name.value for each in definitions if each.name]

    answers = {
        name: (
            await api.http.post(
                "/graphql",
                json={"query": DOCUMENT, "operationName": name},
                headers={"authorization": f"Bearer {client.access_token}"},
            )
        ).json()
        for name in names
    }

    assert len(names) == len(definitions)
    assert {name: answer.get("errors") for name, answer in answers.items()} == {
        "Me": None,
        "Sessions": None,
        "Register": None,
        "Users": None,
    }
    assert answers["Register"]["data"]["register"]["__typename"] == "SignedIn"


async def test_there_is_room_for_an_operation_of_ones_own(api: Api) -> None:
    own = f"{DOCUMENT}\nquery Own {{ __typename }}"

    answer = await api.http.post("/graphql", json={"query": own, "operationName": "Own"})

    assert answer.json() == {"data": {"__typename": "Query"}}
