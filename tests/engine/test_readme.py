"""The example in the engine's README: it runs, and its compiled function is the printed one."""

import re
from pathlib import Path
from typing import Any

import pytest
import strawberry
from graphql import OperationDefinitionNode, parse

from app.engine.engine import core_schema
from app.engine.plans.compiling import source_of
from app.engine.plans.completion import Awaited
from app.engine.plans.plan import Plan, plan

ENGINE = Path(__file__).parents[2] / "app" / "engine"
README = (ENGINE / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"`([\w/]+\.py)`")
BLOCKS = BLOCK.findall(README)


@pytest.fixture(scope="module")
def planned() -> Plan:
    (code,) = [text for language, text in BLOCKS if language == "python"]
    (operation,) = [text for language, text in BLOCKS if language == "graphql"]
    names: dict[str, Any] = {"__name__": "tests.engine.test_readme"}
    exec(code, names)  # noqa: S102 - the example
    (node,) = parse(operation).definitions
    assert isinstance(node, OperationDefinitionNode)
    made = plan(core_schema(strawberry.Schema(names["Query"])), node, {}, {})
    assert made is not None
    return made


def test_the_compiled_function_of_the_example_is_the_printed_one(planned: Plan) -> None:
    _shape, printed = [text for language, text in BLOCKS if language == "text"]
    shape = planned.steps["books"].shape

    assert not isinstance(shape, Awaited)
    assert source_of(shape) + "\n" == printed


async def test_the_example_answers(planned: Plan) -> None:
    answer = await planned.run(None, {"n": 2}, {})

    assert answer == {
        "books": [
            {"title": "The Dispossessed", "sortKey": "dispossessed", "length": 387},
            {"title": "Ubik", "sortKey": "ubik", "length": None},
        ]
    }


def test_every_file_is_in_the_reading_order_and_every_named_file_exists() -> None:
    order = README.partition("## Files, in reading order")[2]
    files = {
        str(file.relative_to(ENGINE)) for file in ENGINE.rglob("*.py") if file.name != "__init__.py"
    }

    assert set(FILE.findall(order)) == files
    assert {
        name for name in FILE.findall(README) if not name.startswith(("app/", "tests/"))
    } <= files | {Path(name).name for name in files}
