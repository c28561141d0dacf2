"""`portico doctor`: checks a set-up, and prints one line for each check."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from rich.markup import escape

from app.cli.console import out
from app.cli.doctor import database, keys, network, passkeys, pooler, replica, settings
from app.cli.doctor.environment import SetUp, set_up
from app.cli.doctor.findings import Check, Finding, State, checks_of
from app.cli.doctor.runner import examine
from app.errors import Misconfigured
from app.logs import set_levels
from app.modules import read_settings
from app.text.visible import one_line

MODULES = (settings, database, pooler, replica, keys, passkeys, network)
CHECKS = [check for module in MODULES for check in checks_of(module)]
COLOURS = {
    State.OK: "green",
    State.WARNING: "yellow",
    State.FAILED: "red",
    State.NOT_CHECKED: "dim",
}


def doctor(*, as_json: bool) -> None:
    findings = _findings()
    out.print(_as_json(findings) if as_json else _as_text(findings), markup=not as_json)
    if any(each.state is State.FAILED for each in findings):
        sys.exit(1)


def _findings() -> list[Finding]:
    try:
        given = read_settings()
    except Misconfigured as problem:
        return _not_run(settings.settings, problem)
    set_levels(given.log_level)
    try:
        with set_up(given) as setup:
            return asyncio.run(_examine(setup))
    except Misconfigured as problem:
        return _not_run(database.database, problem)


async def _examine(setup: SetUp) -> list[Finding]:
    try:
        return await examine(CHECKS, setup)
    finally:
        if setup.database is not None:
            await setup.database.close()


def _not_run(failed: Check, problem: Misconfigured) -> list[Finding]:
    """Returns the findings if one problem keeps all checks from running."""
    return [
        Finding(failed.name, State.FAILED, " ".join(str(problem).splitlines()))
        if each is failed
        else Finding(each.name, State.NOT_CHECKED, f"depends on: {failed.name}")
        for each in CHECKS
    ]


def _as_json(findings: Sequence[Finding]) -> str:
    return json.dumps([asdict(each) for each in findings], indent=2)


def _as_text(findings: Sequence[Finding]) -> str:
    width = max(len(each.name) for each in findings)
    numbers = Counter(each.state for each in findings)
    total = ", ".join(_number(numbers[state], state) for state in State if numbers[state])
    return "\n".join((*(_line(each, width) for each in findings), f"{total}."))


def _number(number: int, state: State) -> str:
    return f"{number} warnings" if state is State.WARNING and number > 1 else f"{number} {state}"


def _line(finding: Finding, width: int) -> str:
    colour = COLOURS[finding.state]
    words = one_line(f"{finding.text} {finding.hint or ''}".rstrip())
    return f"[{colour}]{finding.state:11}[/{colour}]  {finding.name:{width}}  {escape(words)}"
