"""Marks tests by whether they start processes of their own: servers, commands, a PostgreSQL.

`process` is read from the code: a test that reaches the module `subprocess`, through whatever
helpers and fixtures of tests/, starts processes. `fast` are all others for which hypothesis draws
no examples. The marks are not written by hand, and a test that starts a process without the mark
fails, so that `-m fast` stays correct.
"""

import inspect
import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

import pytest
from hypothesis.stateful import run_state_machine_as_test

TESTS = ("tests.", "app.testing.")
BY_ASYNCIO = {"create_subprocess_exec", "create_subprocess_shell"}
UNMARKED = "The test starts a process, which {marks} cannot see: {command}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    plugins = [each for each in config.pluginmanager.get_plugins() if isinstance(each, ModuleType)]
    for item in items:
        if _starts_process(item, plugins):
            item.add_marker("process")
        elif not _draws_examples(item):
            item.add_marker("fast")


def _draws_examples(item: pytest.Function) -> bool:
    """Whether hypothesis runs the test, or a state machine in it, many times."""
    test: Any = item
    return hasattr(test.function, "hypothesis") or any(
        run_state_machine_as_test in _used_by(each) for each in _closure(test.function)
    )


def _starts_process(item: pytest.Function, plugins: Iterable[ModuleType]) -> bool:
    test: Any = item
    fixtures = [_fixture(name, [test.module, *plugins]) for name in item.fixturenames]
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return any(map(_reaches_subprocess, _functions_in([test.function, *fixtures, *parameters])))


def _fixture(name: str, modules: Iterable[ModuleType]) -> object:
    """Returns the nearest fixture of that name; None if it has the scope of the session."""
    found = next((vars(each)[name] for each in modules if name in vars(each)), None)
    return None if getattr(found, "scope", None) == "session" else found


@cache
def _reaches_subprocess(function: FunctionType) -> bool:
    return any(_uses_subprocess(each) for each in _closure(function))


def _uses_subprocess(function: FunctionType) -> bool:
    return subprocess in _used_by(function) or not BY_ASYNCIO.isdisjoint(
        _names_in(function.__code__)
    )


def _closure(function: FunctionType) -> set[FunctionType]:
    """Returns a function and all functions of tests/ that it may call."""
    found: set[FunctionType] = set()
    waiting = [function]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += _functions_in(_used_by(current))
    return found


def _used_by(function: FunctionType) -> list[Any]:
    """Returns the globals that its code names, and what it names of modules of tests/."""
    names = set(_names_in(function.__code__))
    used = [function.__globals__[name] for name in names if name in function.__globals__]
    modules = [each for each in used if isinstance(each, ModuleType) and _is_ours(each.__name__)]
    return used + [vars(module)[name] for module in modules for name in names & vars(module).keys()]


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _functions_in(values: Iterable[Any]) -> Iterator[FunctionType]:
    """Functions of tests/, also where a decorator, a class or a list holds them."""
    for value in values:
        unwrapped = _unwrapped(value)
        if isinstance(unwrapped, FunctionType):
            if _is_ours(unwrapped.__module__):
                yield unwrapped
        else:
            yield from _functions_in(_parts_of(unwrapped))


def _parts_of(value: Any) -> Iterable[Any]:
    match value:
        case type() if _is_ours(value.__module__):
            return [part for each in value.__mro__ for part in vars(each).values()]
        case Mapping():
            return [*cast("Mapping[Any, Any]", value).values()]
        case list() | tuple():
            return cast("Iterable[Any]", value)
        case _:
            return ()


def _unwrapped(value: Any) -> Any:
    if isinstance(value, property):
        return value.fget
    if hasattr(value, "hypothesis"):
        return value.hypothesis.inner_test
    return inspect.unwrap(value) if callable(value) else value


def _is_ours(module: str | None) -> bool:
    return (module or "").startswith(TESTS)


class Watch:
    """Records which processes were started while a test was watched."""

    def __init__(self) -> None:
        self.is_watching = False
        self.commands: list[str] = []

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_watching and event == "subprocess.Popen":
            self.commands.append(str(arguments[1]))


WATCH = Watch()
sys.addaudithook(WATCH.audit)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    WATCH.is_watching = item.get_closest_marker("process") is None
    WATCH.commands.clear()
    try:
        return (yield)
    finally:
        WATCH.is_watching = False


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
    """Ignore what session fixtures start, such as PostgreSQL: it does not belong to the test."""
    watching = WATCH.is_watching
    WATCH.is_watching = watching and fixturedef.scope != "session"
    try:
        return (yield)
    finally:
        WATCH.is_watching = watching


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    """Ignore teardown: processes may have been started for other tests, which have the mark."""
    WATCH.is_watching = False
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "teardown" and WATCH.commands:
        report.outcome = "failed"
        report.longrepr = UNMARKED.format(marks=__name__, command=WATCH.commands[0])
    return report
