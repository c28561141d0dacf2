"""An attacker who can write to `signing_keys` without a secret cannot add a key that counts."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.keys.services.fleet_secrets import FleetSecrets
from app.keys.services.signing_keys import INVALID_KEY, UNVERIFIED_KEY
from app.security.keys import KeyPair
from app.testing.clients import ME, Api, Person
from tests.keys.test_compromised_keys import declare
from tests.support.fleets import NEW, OLD, Fleet, FleetServer
from tests.support.servers import portico

ADA = Person("ada@example.com", "difference engine 1", "Ada Lovelace")
ACCEPTED = {"me": {"email": ADA.email}}
PLANT = """
INSERT INTO signing_keys (id, public_jwk, sealed_private_key, sealed_with, created_at, signs_from)
SELECT :id, CAST(:jwk AS jsonb), coalesce(:sealed, sealed_private_key), CAST(:with AS bytea),
    created_at, signs_from
FROM signing_keys LIMIT 1
"""
FOREIGN = b"fingerprint of another secret"
ANNOUNCED_ONCE = """
INSERT INTO secret_fingerprints (fingerprint, first_seen_at, last_seen_at, last_seen_on)
VALUES (:fingerprint, :at, :at, 'elsewhere')
"""


async def plant(server: FleetServer, sealed_with: bytes | None, sealed: str | None) -> KeyPair:
    pair = KeyPair.generate(server.keys.clock())
    await put(server, pair.id, pair.jwk(), sealed_with, sealed)
    return pair


async def put(
    server: FleetServer, key_id: str, jwk: Any, sealed_with: bytes | None, sealed: str | None
) -> None:
    values = {"id": key_id, "jwk": orjson.dumps(jwk).decode(), "sealed": sealed}
    await server.execute(PLANT, **values, **{"with": sealed_with})


def forged(client: Api, pair: KeyPair) -> str:
    """Returns a token with the claims of a genuine one."""
    claims = jwt.decode(client.access_token or "", options={"verify_signature": False})
    kind = jwt.get_unverified_header(client.access_token or "").get("typ")
    headers = {"kid": pair.id, "typ": kind}
    return jwt.encode(claims, pair.private, algorithm="ES256", headers=headers)


def mine(server: FleetServer) -> bytes:
    return server.portico.services[FleetSecrets].secrets.sealing_fingerprint


async def assert_refused(server: FleetServer, laptop: Api, pair: KeyPair) -> None:
    attacker = server.api.with_bearer(forged(laptop, pair))
    assert (await attacker(ME), attacker.last_code) == ({"me": None}, "UNAUTHENTICATED")
    assert pair.id not in await server.key_ids()


@pytest.mark.parametrize("sealed", ["garbage", "gärbage", "", None])
@pytest.mark.parametrize("sealed_with", ["mine", "unknown", None])
async def test_a_planted_key_is_not_published_and_verifies_nothing(
    fleet: Fleet, sealed: str | None, sealed_with: str | None
) -> None:
    async with fleet.server(OLD) as server:
        await server.api.register(ADA)
        laptop = await server.api.login(ADA)
        before = await server.key_ids()
        named = {"mine": mine(server), "unknown": FOREIGN, None: None}[sealed_with]

        planted = await plant(server, named, sealed)

        await assert_refused(server, laptop, planted)
        assert await server.key_ids() == before
        assert await laptop(ME) == ACCEPTED
        assert await server.readiness() == (200, None)


async def test_a_planted_key_is_refused_after_a_leak_was_declared(fleet: Fleet) -> None:
    async with fleet.server(OLD) as old:
        await old.api.register(ADA)
        former = await plant(old, mine(old), "garbage")
        revoked = mine(old)
        await declare(fleet)
    async with fleet.server(NEW) as server:
        laptop = await server.api.login(ADA)
        latter = await plant(server, mine(server), "garbage")

        for planted in (former, latter):
            await assert_refused(server, laptop, planted)
        with pytest.raises(Exception, match="the secret that sealed it is not in force"):
            await plant(server, revoked, "garbage")
        assert await laptop(ME) == ACCEPTED


async def test_the_public_half_of_a_key_cannot_be_replaced(fleet: Fleet) -> None:
    async with fleet.server(OLD) as server:
        await server.api.register(ADA)
        laptop = await server.api.login(ADA)
        (key_id,) = await server.key_ids()
        own = KeyPair(key_id, ec.generate_private_key(ec.SECP256R1()), fleet.clock())

        await server.execute(
            "UPDATE signing_keys SET public_jwk = CAST(:jwk AS jsonb)",
            jwk=orjson.dumps(own.jwk()).decode(),
        )

        await assert_refused(server, laptop, own)


@pytest.mark.parametrize("jwk", [[], {}, "text", {"kty": "EC", "crv": "P-256", "x": 1, "y": None}])
async def test_a_row_that_is_not_a_key_breaks_nothing(fleet: Fleet, jwk: Any) -> None:
    async with fleet.server(OLD) as server:
        before = await server.key_ids()
        await put(server, "no-key", jwk, mine(server), None)

        await server.keys.refresh()

        assert await server.key_ids() == before


async def test_an_invalid_key_is_logged_once_and_shown_by_commands(
    fleet: Fleet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet.server(OLD) as server:
        planted = await plant(server, mine(server), "garbage")
        for _ in range(3):
            await server.key_ids()
        messages = [each.getMessage() for each in caplog.records if planted.id in each.getMessage()]
        assert messages == [INVALID_KEY % planted.id]
        assert fleet.settings.database_url is not None
        url = fleet.settings.database_url.get_secret_value()
        environment = {"DATABASE_URL": url, "SECRET_KEY": OLD}
        shown = await asyncio.to_thread(portico, "keys", cwd=tmp_path, **environment)
        doctor = await asyncio.to_thread(portico, "doctor", "--json", cwd=tmp_path, **environment)

    (line,) = [each for each in shown.stdout.splitlines() if planted.id in each]
    assert line.split()[-2:] == ["invalid", "no"]
    assert f"Signing keys are invalid: {planted.id}." in doctor.stdout
    assert doctor.returncode == 1


async def test_a_key_under_a_known_secret_that_this_server_lacks_counts_and_is_logged(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet.server(OLD) as server:
        await server.api.register(ADA)
        laptop = await server.api.login(ADA)
        # Its server is stopped by now.
        at = fleet.clock() - timedelta(days=1)
        await server.execute(ANNOUNCED_ONCE, fingerprint=FOREIGN, at=at)

        other = await plant(server, FOREIGN, "sealed elsewhere")

        assert other.id in await server.key_ids()
        assert await server.api.with_bearer(forged(laptop, other))(ME) == ACCEPTED
        messages = [each.getMessage() for each in caplog.records if other.id in each.getMessage()]
        assert messages == [UNVERIFIED_KEY % other.id]
