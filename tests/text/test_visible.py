"""Control characters in data and settings cannot change what a terminal shows to an operator."""

import asyncio
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import Person
from app.text.visible import one_line, visible
from tests.support.fleets import OLD, Fleet
from tests.support.servers import portico

ADA = Person("ada@example.com", "difference engine 1", "Ada Lovelace")
FORGED = "x\r\x1b[2K\nportico: all is well"
SHOWN = r"x\r\u001b[2K\nportico: all is well"
ADD_KEY = """
INSERT INTO signing_keys (id, public_jwk, sealed_private_key, created_at, signs_from)
SELECT :forged, public_jwk, 'garbage', created_at, signs_from FROM signing_keys
"""
RENAME = "UPDATE audit_events SET name = :forged WHERE name = 'user.registered'"


async def run(fleet: Fleet, folder: Path, *words: str) -> CompletedProcess[str]:
    assert fleet.settings.database_url is not None
    url = fleet.settings.database_url.get_secret_value()
    given = {"DATABASE_URL": url, "SECRET_KEY": OLD, "COLUMNS": "200"}
    return await asyncio.to_thread(portico, *words, cwd=folder, **given)


def assert_safe(shown: str) -> None:
    assert not any(line.startswith("portico: all is well") for line in shown.splitlines())
    assert shown == visible(shown)


async def test_the_name_of_a_host_is_escaped(fleet: Fleet, tmp_path: Path) -> None:
    async with fleet.server(OLD) as server:
        await server.execute("UPDATE secret_fingerprints SET last_seen_on = :host", host=FORGED)
        keys = await run(fleet, tmp_path, "keys")

    assert_safe(keys.stdout)
    assert SHOWN in keys.stdout


async def test_the_name_of_an_event_is_escaped(fleet: Fleet, tmp_path: Path) -> None:
    async with fleet.server(OLD) as server:
        await server.api.register(ADA)
        async with server.portico.services[Database].begin() as session:
            await session.execute(text("SET LOCAL session_replication_role = replica"))
            await session.execute(text(RENAME), {"forged": FORGED})
        verified = await run(fleet, tmp_path, "audit", "verify")

    assert verified.returncode == 1
    assert_safe(verified.stderr)
    assert f"({SHOWN}, " in verified.stderr


async def test_a_value_in_a_log_message_is_escaped(fleet: Fleet, tmp_path: Path) -> None:
    async with fleet.server(OLD) as server:
        await server.execute(ADD_KEY, forged=FORGED)
        jobs = await run(fleet, tmp_path, "jobs")

    assert jobs.returncode == 0
    assert_safe(jobs.stderr)
    assert f"WARNING app.keys.services.signing_keys: Signing key {SHOWN} is invalid" in jobs.stderr


def test_an_invalid_setting_is_escaped(tmp_path: Path) -> None:
    result = portico("jobs", cwd=tmp_path, LOG_FORMAT=FORGED)

    assert result.returncode == 1
    assert_safe(result.stderr)


@pytest.mark.parametrize(
    ("given", "in_lines", "in_one_line"),
    [
        ("a\nb", "a\nb", r"a\nb"),
        ("\t\r\x00\x1b\x7f\x9b", r"\t\r\u0000\u001b\u007f\u009b", r"\t\r\u0000\u001b\u007f\u009b"),
        ("\u202eabc\u2066", r"\u202eabc\u2066", r"\u202eabc\u2066"),
        ("Zoë 李 😀 \\n", "Zoë 李 😀 \\n", "Zoë 李 😀 \\n"),
    ],
)
def test_control_characters_are_shown_as_escapes(
    given: str, in_lines: str, in_one_line: str
) -> None:
    assert (visible(given), one_line(given)) == (in_lines, in_one_line)
