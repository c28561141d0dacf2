"""Every declared command has a function that takes what the command takes."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from app.imports import import_attribute
from app.testing.commands import CLI

Function = type(lambda: None)


class Declared(NamedTuple):
    """A declaration, and the Python module with the function that does what it says."""

    function: Callable[..., None]
    path: str


def declared_in(group: TyperGroup) -> Iterator[Declared]:
    """Yield each command, and what the group itself runs."""
    if group.callback is not None:
        yield from called_by(group.callback)
    for command in group.commands.values():
        if isinstance(command, TyperGroup):
            yield from declared_in(command)
        else:
            assert isinstance(command, TyperCommand)
            yield of(inspect.getattr_static(command.callback, "__wrapped__"))


def called_by(callback: Callable[..., Any]) -> Iterator[Declared]:
    """Yield what a group runs without a subcommand."""
    names = inspect.getclosurevars(inspect.unwrap(callback)).globals
    if "show" in names:
        yield of(names["show"])


def of(run: Callable[..., Any]) -> Declared:
    kept = inspect.getclosurevars(run).nonlocals
    return Declared(kept["declared"], kept["path"])


def parameters(function: Callable[..., Any]) -> list[tuple[str, object]]:
    return [(each.name, each.kind) for each in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize(
    "declared",
    [*declared_in(get_group(CLI))],
    ids=lambda each: f"{each.path}:{each.function.__name__}",
)
def test_a_declared_command_runs_a_function_with_the_same_parameters(declared: Declared) -> None:
    name = declared.function.__name__
    function = import_attribute(declared.path, name, Function)
    assert parameters(function) == parameters(declared.function)
