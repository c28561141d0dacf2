"""Servers with different secrets: no user is signed out, each server reports what it lacks."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import jwt
import pytest

from app.errors import Misconfigured
from app.keys.services.fleet_secrets import NONE_MISSING, FleetSecrets
from app.keys.services.key_rotation import UNKNOWN_TO_SERVERS
from app.keys.services.signing_keys import DIFFERS_FROM_OTHERS, KEYS_NOT_OPENED
from app.testing.clients import ME, Api, Person
from tests.sessions.test_refreshing import REFRESH, reason, refresh, token
from tests.support.fleets import NEW, OLD, Fleet, FleetServer
from tests.support.servers import portico

ADA = Person("ada@example.com", "difference engine 1", "Ada Lovelace")
READY = (200, None)


def signed_with(api: Api) -> str:
    return jwt.get_unverified_header(api.access_token or "")["kid"]


async def new_key(server: FleetServer) -> str:
    return (await server.keys.rotate(now=True)).id


async def test_a_key_that_a_server_cannot_open_verifies_there_and_is_published(
    fleet: Fleet,
) -> None:
    async with fleet.server(OLD) as old, fleet.server(f"{NEW},{OLD}") as new:
        await new.api.register(ADA)
        made = await new_key(new)
        laptop = await new.api.login(ADA)
        assert signed_with(laptop) == made

        assert await old.api.with_bearer(laptop.access_token or "")(ME) == {
            "me": {"email": ADA.email}
        }
        assert made in await old.key_ids()
        # It signs its own tokens with a key that it can open.
        telephone = await old.api.login(ADA)
        assert signed_with(telephone) != made
        assert await new.api.with_bearer(telephone.access_token or "")(ME) == {
            "me": {"email": ADA.email}
        }


async def test_a_refresh_token_that_a_server_cannot_read_ends_no_session(fleet: Fleet) -> None:
    async with fleet.server(OLD) as old, fleet.server(f"{NEW},{OLD}") as new:
        await new.api.register(ADA)
        laptop = await new.api.login(ADA)
        before = await old.rows("SELECT generation, ended_at FROM sessions ORDER BY id")

        assert await old.api(REFRESH, token=laptop.refresh_token) is None
        assert (old.api.last_code, old.api.last and old.api.last.status_code) == (
            "SERVICE_UNAVAILABLE",
            503,
        )

        assert await old.rows("SELECT generation, ended_at FROM sessions ORDER BY id") == before
        assert token(await refresh(new.api, laptop.refresh_token))


async def test_a_forged_refresh_token_is_unknown_where_all_servers_agree(fleet: Fleet) -> None:
    async with fleet.server(OLD) as one, fleet.server(OLD):
        await one.api.register(ADA)
        laptop = await one.api.login(ADA)
        forged = (laptop.refresh_token or "")[:-8] + "AAAAAAAA"

        assert await reason(one.api, forged) == "UNKNOWN_TOKEN"


async def test_a_server_that_lacks_a_sealing_secret_is_not_ready_and_logs_it_once(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet.server(OLD) as old, fleet.server(f"{NEW},{OLD}") as new:
        seen = [await old.readiness() for _ in range(3)]
        await old.keys.refresh()

        assert (seen, await new.readiness()) == ([(503, DIFFERS_FROM_OTHERS)] * 3, READY)
        messages = [each.message for each in caplog.records if "this one lacks" in each.message]
        assert len(messages) == 1
        assert messages[0].startswith("Other servers seal with a secret that this one lacks (")
        for secret in (OLD, NEW):
            assert secret not in messages[0]

        # The other servers are gone, and so are their secrets.
        fleet.clock.pass_(minutes=4)
        assert await old.readiness() == READY
        assert caplog.records[-1].message == NONE_MISSING


async def test_a_server_that_lacks_a_secret_used_only_to_open_is_ready_and_warns(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet.server(OLD) as old, fleet.server(f"{OLD},{NEW}") as both:
        assert (await old.readiness(), await both.readiness()) == (READY, READY)
        assert len(old.portico.services[FleetSecrets].state.missing) == 1
        assert [each.message for each in caplog.records if "None seals with it yet" in each.message]


STEPS = (OLD, f"{OLD},{NEW}", f"{NEW},{OLD}", NEW)


async def test_a_stepwise_rotation_keeps_every_server_ready_and_every_session_active(
    fleet: Fleet,
) -> None:
    async with fleet.server(OLD) as first:
        await first.api.register(ADA)
        refresh_token = (await first.api.login(ADA)).refresh_token
    for before, after in pairwise(STEPS):
        async with fleet.server(before) as former:
            if before == f"{NEW},{OLD}":
                await new_key(former)
            async with fleet.server(after) as latter:
                await former.keys.refresh()
                assert (await former.readiness(), await latter.readiness()) == (READY, READY)
                for server in (latter, former, latter):
                    signed_in = await refresh(server.api, refresh_token)
                    refresh_token = token(signed_in)
                    laptop = server.api.with_tokens(signed_in)
                    for other in (former, latter):
                        elsewhere = other.api.with_bearer(laptop.access_token or "")
                        assert await elsewhere(ME) == {"me": {"email": ADA.email}}
        # The servers of the previous step are stopped by now.
        fleet.clock.pass_(minutes=4)


async def test_a_server_left_behind_does_not_affect_those_that_were_rotated(fleet: Fleet) -> None:
    async with fleet.server(OLD) as forgotten, fleet.server(f"{NEW},{OLD}") as new:
        await forgotten.keys.refresh()
        await new_key(new)
        fleet.clock.pass_(minutes=4)
        await new.keys.refresh()
        await forgotten.keys.refresh()
        async with fleet.server(NEW) as alone:
            await forgotten.keys.refresh()

            assert await forgotten.readiness() == (503, DIFFERS_FROM_OTHERS)
            assert (await new.readiness(), await alone.readiness()) == (READY, READY)


async def test_a_server_that_lacks_a_sealing_secret_does_not_start(
    fleet: Fleet,
) -> None:
    async with fleet.server(OLD), fleet.server(f"{NEW},{OLD}"):
        with pytest.raises(Misconfigured, match="Other servers seal with a secret"):
            async with fleet.server(OLD):
                pass


async def test_a_process_with_other_secrets_reports_once_why_it_does_not_start(
    fleet: Fleet, tmp_path: Path
) -> None:
    async with fleet.server(OLD) as old:
        before = await old.key_ids()

        environment = {"DATABASE_URL": url_of(fleet), "SECRET_KEY": NEW}
        result = await asyncio.to_thread(portico, "keys", "rotate", cwd=tmp_path, **environment)

        refused = (result.returncode, result.stdout, result.stderr)
        assert refused == (1, "", f"portico: {KEYS_NOT_OPENED}\n")
        assert await old.key_ids() == before


async def test_no_key_is_created_that_no_server_can_sign_with(fleet: Fleet, tmp_path: Path) -> None:
    async with fleet.server(OLD) as old:
        before = await old.key_ids()

        environment = {"DATABASE_URL": url_of(fleet), "SECRET_KEY": f"{NEW},{OLD}"}
        result = await asyncio.to_thread(portico, "keys", "rotate", cwd=tmp_path, **environment)

        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.endswith(f"portico: {UNKNOWN_TO_SERVERS}\n")
        assert await old.key_ids() == before


async def test_tokens_of_a_deleted_key_are_refused_by_every_server_at_once(
    fleet: Fleet,
) -> None:
    async with fleet.server(OLD) as one, fleet.server(OLD) as other:
        await one.api.register(ADA)
        laptop = await one.api.login(ADA)
        at_other = other.api.with_bearer(laptop.access_token or "")
        assert await at_other(ME) == await laptop(ME) == {"me": {"email": ADA.email}}
        kept = await new_key(one)
        telephone = await one.api.login(ADA)

        await one.execute("DELETE FROM signing_keys WHERE id <> :kept", kept=kept)

        for client in (laptop, at_other):
            assert (await client(ME), client.last_code) == ({"me": None}, "UNAUTHENTICATED")
        for server in (one, other):
            assert await server.key_ids() == [kept]
            assert await server.api.with_bearer(telephone.access_token or "")(ME) == {
                "me": {"email": ADA.email}
            }


async def test_only_the_tokens_of_the_deleted_key_are_refused(fleet: Fleet) -> None:
    async with fleet.server(OLD) as server:
        await server.api.register(ADA)
        former = await server.api.login(ADA)
        kept = await new_key(server)
        latter = await server.api.login(ADA)
        await server.execute("DELETE FROM signing_keys WHERE id <> :kept", kept=kept)

        clients = [former, latter] * 20
        answers = await asyncio.gather(*(client(ME) for client in clients))

        assert answers == [{"me": None}, {"me": {"email": ADA.email}}] * 20


async def test_a_rotated_key_signs_only_when_no_cached_jwks_lacks_it(fleet: Fleet) -> None:
    async with fleet.server(OLD) as server:
        await server.api.register(ADA)
        (former,) = await server.key_ids()
        cached = (await server.api.http.get("/.well-known/jwks.json")).headers["cache-control"]
        assert cached == "public, max-age=300"

        pair = await server.keys.rotate()

        assert await server.key_ids() == [pair.id, former]
        assert signed_with(await server.api.login(ADA)) == former
        fleet.clock.pass_(minutes=5, seconds=50)
        assert signed_with(await server.api.login(ADA)) == former
        fleet.clock.pass_(seconds=15)
        assert signed_with(await server.api.login(ADA)) == pair.id


async def test_commands_show_keys_secrets_and_their_differences(
    fleet: Fleet, tmp_path: Path
) -> None:
    async with fleet.server(OLD) as old:
        published = (await old.keys.rotate()).id
        (mine,) = old.portico.services[FleetSecrets].secrets.fingerprints
        same = {"DATABASE_URL": url_of(fleet), "SECRET_KEY": OLD}
        keys = await asyncio.to_thread(portico, "keys", cwd=tmp_path, **same)
        environment = {"DATABASE_URL": url_of(fleet), "SECRET_KEY": NEW}
        other = await asyncio.to_thread(portico, "keys", cwd=tmp_path, **environment)
        settings = await asyncio.to_thread(portico, "settings", cwd=tmp_path, **environment)

    table = keys.stdout.splitlines()
    assert (keys.returncode, keys.stderr) == (0, "")
    assert [line.split()[0] for line in table] == [
        "key",
        published,
        table[2].split()[0],
        "secret",
        mine.hex()[:12],
    ]
    assert [line.split()[-2:] for line in table[1:3]] == [["next", "yes"], ["signs", "yes"]]
    assert table[4].split()[-2:] == ["seals", "yes"]
    assert [line.split()[-1] for line in other.stdout.splitlines()[1:3]] == ["no", "no"]
    warning = f"Warning   Other servers seal with a secret that this one lacks ({mine.hex()[:12]}"
    assert warning in other.stdout
    assert settings.stderr.startswith(warning)
    assert settings.returncode == 0


async def test_secrets_announced_in_the_future_make_no_server_unready(fleet: Fleet) -> None:
    async with fleet.server(OLD) as server:
        await server.execute(
            "INSERT INTO secret_fingerprints"
            " (fingerprint, first_seen_at, last_seen_at, last_seen_on, last_sealed_at)"
            " VALUES ('forged', :at, :at, 'nowhere', :at)",
            at=fleet.clock() + timedelta(minutes=4),
        )

        assert await server.readiness() == READY
        assert server.portico.services[FleetSecrets].state.missing == ()


def url_of(fleet: Fleet) -> str:
    assert fleet.settings.database_url is not None
    return fleet.settings.database_url.get_secret_value()
