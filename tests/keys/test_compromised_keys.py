"""`portico keys compromised`: after a leak of SECRET_KEY, everything under it is revoked."""

import asyncio
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.audit.services.checkpoints import Checkpoints
from app.audit.services.integrity.verifier import AuditVerifier
from app.composition import Portico, build
from app.database.database import Database
from app.errors import Misconfigured
from app.jobs.services.queue import Jobs
from app.jobs.services.worker import Worker
from app.keys.services.fleet_secrets import REVOKED
from app.keys.services.signing_keys import NOT_ACCEPTED
from app.sessions.services.compromise import (
    ALREADY_KNOWN,
    DECLARED_MEANWHILE,
    ONE_KEY_ONLY,
    AlreadyDeclared,
    Compromise,
    CompromiseDeclared,
)
from app.testing.clients import LOGIN, ME, Person
from tests.sessions.test_refreshing import reason, refresh, token
from tests.support.authenticator import enroll
from tests.support.fleets import NEW, NEWER, OLD, Fleet, FleetServer
from tests.support.servers import Server, portico

ADA = Person("ada@example.com", "difference engine 1", "Ada Lovelace")
REQUEST_RESET = (
    'mutation { requestPasswordReset(input: {email: "ada@example.com"}) { __typename } }'
)
RESET = """
mutation Reset($token: String!) {
  resetPassword(input: {token: $token, newPassword: "analytical engine 2"}) { __typename }
}
"""
JOB_FAILED = "it was sealed with a SECRET_KEY that was declared compromised"
COUNTS = (
    "SELECT (SELECT count(*) FROM signing_keys), (SELECT count(*) FROM one_time_tokens),"
    " (SELECT count(*) FROM sessions WHERE ended_at IS NULL),"
    " (SELECT count(*) FROM audit_checkpoints), (SELECT count(*) FROM audit_events),"
    " (SELECT count(*) FROM pgqueuer WHERE status = 'failed'),"
    " (SELECT count(*) FROM secret_fingerprints WHERE revoked_at IS NOT NULL)"
)


async def run(
    fleet: Fleet, folder: Path, secrets: str, *words: str
) -> subprocess.CompletedProcess[str]:
    assert fleet.settings.database_url is not None
    environment = {
        "DATABASE_URL": fleet.settings.database_url.get_secret_value(),
        "SECRET_KEY": secrets,
    }
    return await asyncio.to_thread(portico, *words, cwd=folder, **environment)


async def declare(fleet: Fleet, secret: str = NEW) -> CompromiseDeclared | AlreadyDeclared:
    """Declare a leak as the command does, within this process."""
    process = other_process(fleet, secret)
    try:
        last = await process.services[Compromise].check()
        return (
            last
            if isinstance(last, AlreadyDeclared)
            else await process.services[Compromise].declare(last)
        )
    finally:
        await process.stop()


async def test_everything_under_the_leaked_secret_is_revoked(fleet: Fleet, tmp_path: Path) -> None:
    async with fleet.server(OLD) as old:
        await old.api.register(ADA)
        laptop = await old.api.login(ADA)
        await enroll(old.api, old.portico.services[Database], ADA, fleet.clock)
        await old.api(REQUEST_RESET)
        await old.portico.services[Worker].drain()
        link = fleet.mailer.token_for(ADA.email)
        await old.api(REQUEST_RESET)

        done = await run(fleet, tmp_path, NEW, "keys", "compromised", "--yes")

        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(
            "1 signing keys, 3 sessions and 1 links were ended, 1 second factors were removed, "
            "1 jobs have failed. Key "
        )
        assert "Tell their users to enroll again: no email was sent to them" in done.stdout
        assert (await laptop(ME), laptop.last_code) == ({"me": None}, "UNAUTHENTICATED")

    async with fleet.server(NEW) as new:
        assert await new.readiness() == (200, None)
        former = new.api.with_bearer(laptop.access_token or "")
        assert (await former(ME), former.last_code) == ({"me": None}, "UNAUTHENTICATED")
        assert await reason(new.api, laptop.refresh_token) == "UNKNOWN_TOKEN"
        assert await new.api(RESET, token=link) == {"resetPassword": {"__typename": "TokenInvalid"}}
        telephone = await new.api.login(ADA)
        assert await telephone(ME) == {"me": {"email": ADA.email}}
        assert token(await refresh(new.api, telephone.refresh_token))
        ended = await new.rows(
            "SELECT end_reason, count(*) FROM sessions WHERE ended_at IS NOT NULL GROUP BY 1"
        )
        assert ended == [("REVOKED", 3)]
        left = "SELECT user_id FROM {} UNION ALL SELECT user_id FROM recovery_codes"
        for table in ("factors", "totp_secrets", "totp_enrollments"):
            assert await new.rows(left.format(table)) == []
        (job,) = await new.portico.services[Jobs].failed()
        assert (job.name, job.failure) == ("password.reset_asked", JOB_FAILED)

    retried = await run(fleet, tmp_path, NEW, "jobs", "retry", str(job.id))
    assert (retried.returncode, retried.stdout) == (1, "")
    assert retried.stderr == (
        f"portico: Job {job.id} (password.reset_asked) is not retried: "
        "it was sealed with a SECRET_KEY that is not given here.\n"
    )


async def test_a_server_with_the_leaked_secret_is_unavailable_and_creates_no_key(
    fleet: Fleet,
) -> None:
    async with fleet.server(OLD) as old:
        await old.api.register(ADA)
        laptop = await old.api.login(ADA)
        await declare(fleet)
        async with fleet.server(NEW) as new:
            telephone = await new.api.login(ADA)
            before = await old.rows(COUNTS)

            # This server does not know yet: the database refuses.
            with pytest.raises(DBAPIError, match="the secret that sealed it is not in force"):
                await make_key(old)
            assert await old.readiness() == (503, NOT_ACCEPTED)
            for client in (old.api, laptop, old.api.with_bearer(telephone.access_token or "")):
                assert await client(LOGIN, input=ADA.credentials) is None
                assert client.last is not None
                extensions = client.last.json()["errors"][0]["extensions"]
                assert (
                    client.last.status_code,
                    client.last.headers["retry-after"],
                    extensions,
                ) == (
                    503,
                    "2",
                    {"code": "SERVICE_UNAVAILABLE", "retryAfter": 2},
                )
            await old.keys.refresh()
            assert not await old.portico.services[Checkpoints].sign()

            assert await old.rows(COUNTS) == before
            assert await new.readiness() == (200, None)
            assert await telephone(ME) == {"me": {"email": ADA.email}}


@pytest.mark.parametrize("secrets", [OLD, f"{NEW},{OLD}", f"{OLD},{NEW}"])
async def test_a_revoked_secret_is_refused_forever(fleet: Fleet, secrets: str) -> None:
    async with fleet.server(OLD):
        pass
    await declare(fleet)

    with pytest.raises(Misconfigured) as refused:
        async with fleet.server(secrets):
            pass

    assert str(refused.value).partition(" on ")[0] == REVOKED.partition(" on ")[0]
    assert "former key back" not in str(refused.value)


async def test_an_unknown_secret_is_refused_until_it_is_rotated_in(fleet: Fleet) -> None:
    async with fleet.server(OLD):
        pass
    await declare(fleet)

    with pytest.raises(Misconfigured, match="was declared compromised"):
        async with fleet.server(NEWER):
            pass
    async with fleet.server(NEW):
        pass
    async with fleet.server(f"{NEW},{NEWER}") as both:
        assert await both.readiness() == (200, None)
    async with fleet.server(f"{NEWER},{NEW}") as successor:
        await successor.keys.rotate(now=True)
    fleet.clock.pass_(minutes=4)
    async with fleet.server(NEWER) as alone:
        assert await alone.readiness() == (200, None)


@pytest.mark.parametrize(
    ("secrets", "words", "message"),
    [
        (OLD, ["--yes"], ALREADY_KNOWN),
        (f"{NEW},{OLD}", ["--yes"], ONE_KEY_ONLY),
        (
            NEW,
            [],
            "This ends every session. Use --yes, or run it on a terminal and confirm it there.",
        ),
    ],
)
async def test_an_invalid_declaration_is_refused_in_one_line_and_changes_nothing(
    fleet: Fleet, tmp_path: Path, secrets: str, words: list[str], message: str
) -> None:
    async with fleet.server(OLD) as old:
        await old.api.register(ADA)
        laptop = await old.api.login(ADA)
        before = await old.rows(COUNTS)

        refused = await run(fleet, tmp_path, secrets, "keys", "compromised", *words)

        assert (refused.returncode, refused.stdout, refused.stderr) == (
            1,
            "",
            f"portico: {message}\n",
        )
        assert await old.rows(COUNTS) == before
        assert await laptop(ME) == {"me": {"email": ADA.email}}


async def test_a_secret_that_opens_a_signing_key_is_refused_too(fleet: Fleet) -> None:
    async with fleet.server(OLD) as old:
        await old.execute("DELETE FROM secret_fingerprints")

        with pytest.raises(Misconfigured, match="already knows this SECRET_KEY"):
            await declare(fleet, OLD)


async def test_the_second_run_says_that_the_leak_was_declared(fleet: Fleet, tmp_path: Path) -> None:
    async with fleet.server(OLD) as old:
        await declare(fleet)
        before = await old.rows(COUNTS)

        again = await run(fleet, tmp_path, NEW, "keys", "compromised")

        assert (again.returncode, again.stderr) == (0, "")
        assert again.stdout.startswith("The leak was declared on ")
        assert again.stdout.endswith(" UTC with this SECRET_KEY. Nothing was changed.\n")
        assert await old.rows(COUNTS) == before


async def test_the_second_of_two_concurrent_runs_changes_nothing(fleet: Fleet) -> None:
    async with fleet.server(OLD) as old:
        other = other_process(fleet, NEWER)
        last: Any = await other.services[Compromise].check()
        await declare(fleet)
        before = await old.rows(COUNTS)

        with pytest.raises(Misconfigured, match=DECLARED_MEANWHILE[:40]):
            await other.services[Compromise].declare(last)

        assert await old.rows(COUNTS) == before
        await other.stop()


async def test_an_interrupted_run_changes_nothing_and_can_be_repeated(fleet: Fleet) -> None:
    async with fleet.server(OLD) as old:
        await old.api.register(ADA)
        before = await old.rows(COUNTS)
        process = other_process(fleet, NEW)
        last: Any = await process.services[Compromise].check()
        async with old.portico.services[Database].begin() as session:
            await old.keys.rotation.lock(session)
            await old.portico.services[Checkpoints].lock(session)
            work = asyncio.ensure_future(process.services[Compromise].declare(last))
            await asyncio.sleep(0.2)
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
        await process.stop()
        assert await old.rows(COUNTS) == before

        assert isinstance(await declare(fleet), CompromiseDeclared)


async def test_the_audit_is_verified_with_the_new_secret_alone_up_to_the_leak(
    fleet: Fleet, tmp_path: Path
) -> None:
    async with fleet.server(OLD) as old:
        await old.api.register(ADA)
        await old.portico.services[Checkpoints].sign()
        await old.api.login(ADA)
        await declare(fleet)
    async with fleet.server(NEW) as new:
        await new.api.login(ADA)
        assert await new.portico.services[Checkpoints].sign()
        ((details,),) = await new.rows(
            "SELECT details FROM audit_events WHERE name = 'secret.compromised'"
        )
        ((hash_,),) = await new.rows(
            "SELECT encode(sha256(signature), 'hex') FROM audit_checkpoints WHERE number = 1"
        )
        assert (details["checkpoint"], details["hash"]) == ("1", hash_)

        verified = await run(fleet, tmp_path, NEW, "audit", "verify")
        assert (verified.returncode, verified.stderr) == (0, "")
        first, second = verified.stdout.splitlines()
        assert first.endswith(", 3 checkpoints: valid.")
        assert second.startswith("Of 1 checkpoints before ")
        assert second.endswith(f"Checkpoint 2 signs the hash of the last one, {hash_}.")

        for change, message in FORGERIES.items():
            await tamper(new, *SAVE, change)
            report = await new.portico.services[AuditVerifier].verify()
            assert message in "\n".join(report.findings)
            await tamper(new, *RESTORE)


FORGERIES = {
    # An event before the leak.
    "UPDATE audit_events SET name = 'role.changed' WHERE name = 'user.registered'": "was altered",
    # Signatures from before the leak cannot be verified, but they cannot be replaced either.
    "UPDATE audit_checkpoints SET signature = '\\x00' WHERE number = 1": "was altered",
    "UPDATE audit_checkpoints SET previous_hash = '\\x00' WHERE number = 1": "was altered",
    # Only the new secret begins an epoch.
    "UPDATE audit_checkpoints SET epoch_mac = '\\x00' WHERE number = 2": "another SECRET_KEY",
    "UPDATE audit_checkpoints SET heads = '{}' WHERE number = 2": "was altered",
}
SAVE = (
    "CREATE TABLE saved_events AS SELECT * FROM audit_events",
    "CREATE TABLE saved_checkpoints AS SELECT * FROM audit_checkpoints",
)
RESTORE = (
    "DELETE FROM audit_events",
    "DELETE FROM audit_checkpoints",
    "INSERT INTO audit_events SELECT * FROM saved_events",
    "INSERT INTO audit_checkpoints SELECT * FROM saved_checkpoints",
    "DROP TABLE saved_events",
    "DROP TABLE saved_checkpoints",
)


async def tamper(server: FleetServer, *statements: str) -> None:
    """Run statements without triggers, as only the owner of the database can."""
    async with server.portico.services[Database].begin() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            await session.execute(text(statement))


async def test_a_server_with_the_leaked_secret_stops_by_itself(
    fleet: Fleet, tmp_path: Path
) -> None:
    assert fleet.settings.database_url is not None
    environment = {
        "DATABASE_URL": fleet.settings.database_url.get_secret_value(),
        "SECRET_KEY": OLD,
        "SHUTDOWN_DELAY_SECONDS": "0",
    }
    server = await asyncio.to_thread(start, tmp_path, environment)
    try:
        await asyncio.to_thread(server.wait_until_ready)
        await declare(fleet)
        await asyncio.to_thread(wait_until_ended, server)
    finally:
        if server.process.poll() is None:
            server.stop()
    assert "was declared compromised" in server.output
    assert "The former one must not come back" in server.output
    assert "former key back" not in server.output


def start(folder: Path, environment: dict[str, str]) -> Server:
    return Server(folder, opened_at="127.0.0.1", port=None, **environment)


def wait_until_ended(server: Server) -> None:
    for _ in range(200):
        if server.process.poll() is not None:
            return
        with suppress(httpx.TransportError):
            httpx.get(f"{server.url}/health/ready")
        time.sleep(0.1)
    raise TimeoutError(server.output)


async def make_key(server: FleetServer) -> None:
    async with server.portico.services[Database].begin() as session:
        await server.keys.rotation.add(session, server.keys.clock())


def other_process(fleet: Fleet, secret: str) -> Portico:
    return build(fleet.settings.model_copy(update={"secret_key": SecretStr(secret)}), fleet.clock)
