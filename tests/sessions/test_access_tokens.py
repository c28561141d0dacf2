"""Access tokens: their claims, forgeries, and the rotation of signing keys."""

import base64
import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hmac import HMAC
from fastapi import FastAPI
from pydantic import SecretStr

from app.composition import Portico
from app.errors import Misconfigured
from app.keys.services.signing_keys import SigningKeys
from app.main import create_app
from app.security.access_tokens import CLAIMS, PREVIOUS_CLAIMS
from app.security.keys import KeyPair
from app.settings import Settings
from app.testing.clients import ME, Api, Person
from app.testing.clock import FakeClock
from tests.sessions.test_refreshing import REFRESH

TOKENS_AND_LIFETIMES = """
mutation Login($input: LoginInput!) {
  login(input: $input) {
    ... on SignedIn { tokens { accessToken accessTokenExpiresAt accessTokenExpiresIn } }
  }
}
"""
NOBODY = ({"me": None}, "UNAUTHENTICATED")


def encode(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Forger:
    """Makes arbitrary tokens with the real signing key."""

    def __init__(self, portico: Portico, token: str) -> None:
        self.pair: KeyPair = portico.services[SigningKeys].signing_key()
        self.header: dict[str, Any] = jwt.get_unverified_header(token)
        self.claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})

    def sign(self, header: dict[str, Any], claims: Any) -> str:
        signed = f"{encode(header)}.{encode(claims)}"
        r, s = decode_dss_signature(
            self.pair.private.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        )
        return f"{signed}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def with_claims(self, **changes: Any) -> str:
        return self.sign(self.header, self.claims | changes)

    def without(self, claim: str) -> str:
        return self.sign(self.header, {k: v for k, v in self.claims.items() if k != claim})

    def with_header(self, **changes: Any) -> str:
        return self.sign(self.header | changes, self.claims)

    def with_hmac_of_public_key(self) -> str:
        pem = self.pair.public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        signed = f"{encode(self.header | {'alg': 'HS256'})}.{encode(self.claims)}"
        tag = HMAC(pem, hashes.SHA256())
        tag.update(signed.encode())
        return f"{signed}.{encode(tag.finalize())}"


FORGERIES: dict[str, Callable[[Forger], str]] = {
    "another issuer": lambda f: f.with_claims(iss="https://evil.example"),
    "another audience": lambda f: f.with_claims(aud="other"),
    "a list of audiences": lambda f: f.with_claims(aud=["portico"]),
    "exp as text": lambda f: f.with_claims(exp=str(f.claims["exp"])),
    "exp as a fraction": lambda f: f.with_claims(exp=f.claims["exp"] + 0.5),
    "exp as true": lambda f: f.with_claims(exp=True),
    "a lifetime above ours": lambda f: f.with_claims(exp=f.claims["iat"] + 16 * 60),
    "issued in the future": lambda f: f.with_claims(
        iat=int(time.time()) + 60, exp=int(time.time()) + 90
    ),
    "authenticated after its issue": lambda f: f.with_claims(auth_time=f.claims["iat"] + 1),
    "auth_time as text": lambda f: f.with_claims(auth_time=str(f.claims["auth_time"])),
    "auth_time as true": lambda f: f.with_claims(auth_time=True),
    "another client": lambda f: f.with_claims(client_id="other"),
    "another person": lambda f: f.with_claims(sub=str(uuid.uuid4())),
    "another session": lambda f: f.with_claims(sid=str(uuid.uuid4())),
    "sub as a number": lambda f: f.with_claims(sub=1),
    "claims that are a list": lambda f: f.sign(f.header, [1]),
    "claims nested deep": lambda f: f.sign(f.header, b"[" * 900),
    "another type": lambda f: f.with_header(typ="JWT"),
    "no key id": lambda f: f.sign({"alg": "ES256", "typ": "at+jwt"}, f.claims),
    "an unknown key id": lambda f: f.with_header(kid="unknown"),
    "a key id that is a number": lambda f: f.with_header(kid=1),
    "an embedded key": lambda f: f.with_header(jwk=f.pair.jwk()),
    "a key elsewhere": lambda f: f.with_header(jku="https://evil.example/jwks.json"),
    "a certificate elsewhere": lambda f: f.with_header(x5u="https://evil.example/x"),
    "a critical extension": lambda f: f.with_header(crit=["b64"], b64=False),
    "no algorithm": lambda f: f.with_header(alg="none"),
    "NoNe": lambda f: f.with_header(alg="NoNe"),
    "another algorithm": lambda f: f.with_header(alg="ES384"),
    "no signature": lambda f: ".".join([*f.with_claims().split(".")[:2], ""]),
    "HMAC with the public key": lambda f: f.with_hmac_of_public_key(),
    "a megabyte": lambda f: f.with_claims(jti="x" * 1_000_000),
}


async def test_a_token_of_the_previous_release_is_accepted_during_an_upgrade(
    api: Api, ada: Person, app: FastAPI
) -> None:
    forger = Forger(app.state.portico, (await api.login(ada)).access_token or "")
    claims = {name: forger.claims[name] for name in PREVIOUS_CLAIMS}

    laptop = api.with_bearer(forger.sign(forger.header, claims))

    assert await laptop(ME) == {"me": {"email": ada.email}}


async def test_claims_that_modules_add_are_ignored(api: Api, ada: Person, app: FastAPI) -> None:
    forger = Forger(app.state.portico, (await api.login(ada)).access_token or "")

    laptop = api.with_bearer(forger.with_claims(scope="admin"))

    assert await laptop("{ me { email role } }") == {"me": {"email": ada.email, "role": "MEMBER"}}


@pytest.mark.parametrize("claim", sorted(CLAIMS))
async def test_a_token_without_a_claim_is_refused(
    api: Api, ada: Person, app: FastAPI, claim: str
) -> None:
    laptop = await api.login(ada)
    forger = Forger(app.state.portico, laptop.access_token or "")

    forged = api.with_bearer(forger.without(claim))

    assert (await forged(ME), forged.last_code) == NOBODY


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_token_is_refused(api: Api, ada: Person, app: FastAPI, name: str) -> None:
    laptop = await api.login(ada)
    forger = Forger(app.state.portico, laptop.access_token or "")

    forged = api.with_bearer(FORGERIES[name](forger))

    assert (await forged(ME), forged.last_code) == NOBODY
    assert len(forged.errors) == 1
    assert await api.with_bearer(forger.with_claims())(ME) == {"me": {"email": ada.email}}


async def test_the_scheme_is_read_in_any_case(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)

    for scheme in ("bearer", "BEARER", "Bearer "):
        answer = await post(api, [("authorization", f"{scheme} {laptop.access_token}")])
        assert answer.json() == {"data": {"me": {"email": ada.email}}}


@pytest.mark.parametrize("times", [2, 3])
async def test_two_authorization_headers_are_refused(api: Api, ada: Person, times: int) -> None:
    laptop = await api.login(ada)

    answer = await post(api, [("authorization", f"Bearer {laptop.access_token}")] * times)

    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_another_scheme_is_refused(api: Api) -> None:
    answer = await post(api, [("authorization", "Basic YTpi")])

    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def post(api: Api, headers: list[tuple[str, str]]) -> httpx.Response:
    return await api.http.post("/graphql", json={"query": ME}, headers=headers)


def claims_of(token: str | None) -> dict[str, Any]:
    return jwt.decode(token or "", options={"verify_signature": False})


async def test_a_refresh_does_not_change_auth_time(api: Api, ada: Person, clock: FakeClock) -> None:
    laptop = await api.login(ada)
    signed_in = claims_of(laptop.access_token)

    clock.pass_(minutes=10)
    answer = (await api(REFRESH, token=laptop.refresh_token))["refreshSession"]

    refreshed = claims_of(answer["tokens"]["accessToken"])
    assert refreshed["auth_time"] == signed_in["auth_time"]
    assert refreshed["iat"] >= signed_in["iat"] + 600
    assert refreshed["sid"] == signed_in["sid"]


async def test_tokens_have_their_lifetime_in_seconds(api: Api, ada: Person) -> None:
    answer = await api(TOKENS_AND_LIFETIMES, input=ada.credentials)

    tokens = answer["login"]["tokens"]
    claims = claims_of(tokens["accessToken"])
    assert tokens["accessTokenExpiresIn"] == claims["exp"] - claims["iat"] == 15 * 60
    expires_at = datetime.fromtimestamp(claims["exp"], UTC)
    assert datetime.fromisoformat(tokens["accessTokenExpiresAt"]) == expires_at


async def key_ids(api: Api) -> list[str]:
    return [key["kid"] for key in (await api.http.get("/.well-known/jwks.json")).json()["keys"]]


async def test_the_next_key_is_published_before_it_signs(
    api: Api, ada: Person, app: FastAPI, clock: FakeClock
) -> None:
    keys, (first,) = app.state.portico.services[SigningKeys], await key_ids(api)

    clock.pass_(days=29, hours=1)
    await keys.refresh()
    assert (len(await key_ids(api)), keys.signing_key().id) == (2, first)

    clock.pass_(days=1)
    assert keys.signing_key().id != first
    laptop = await api.login(ada)
    assert jwt.get_unverified_header(laptop.access_token or "")["kid"] == keys.signing_key().id


async def test_a_key_is_removed_when_its_last_token_has_expired(
    api: Api, ada: Person, app: FastAPI, clock: FakeClock
) -> None:
    keys = app.state.portico.services[SigningKeys]
    laptop = await api.login(ada)
    old = keys.signing_key().id

    new = (await keys.rotate(now=True)).id
    clock.pass_(minutes=14)
    await keys.refresh()
    assert await laptop(ME) == {"me": {"email": ada.email}}
    assert await key_ids(api) == [new, old]

    clock.pass_(minutes=10)
    await keys.refresh()
    assert await key_ids(api) == [new]


async def test_a_key_made_by_another_worker_verifies_at_once(
    api: Api, ada: Person, app: FastAPI, other_worker: FastAPI
) -> None:
    await app.state.portico.services[SigningKeys].rotate(now=True)
    laptop = await api.login(ada)

    async with Api.of(other_worker) as elsewhere:
        answer = await elsewhere.with_bearer(laptop.access_token or "")(ME)

    assert answer == {"me": {"email": ada.email}}


NEW_SECRET = "Zr7mQ2vX9kLs4TbW8nHd6YpJ3fGc5RaE"
OLD_SECRET = "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA"


async def test_a_new_secret_key_decrypts_keys_under_the_former_one(
    api: Api, ada: Person, settings: Settings, clock: FakeClock
) -> None:
    laptop = await api.login(ada)
    both = settings.model_copy(update={"secret_key": SecretStr(f"{NEW_SECRET},{OLD_SECRET}")})
    app = create_app(both, clock)

    async with app.router.lifespan_context(app), Api.of(app) as elsewhere:
        me = await elsewhere.with_bearer(laptop.access_token or "")(ME)
        refreshed = await elsewhere(REFRESH, token=laptop.refresh_token)

    assert me == {"me": {"email": ada.email}}
    assert refreshed["refreshSession"]["__typename"] == "SignedIn"


async def test_a_new_secret_key_without_the_former_one_fails_with_instructions(
    ada: Person, settings: Settings
) -> None:
    alone = create_app(settings.model_copy(update={"secret_key": SecretStr(NEW_SECRET)}))

    with pytest.raises(Misconfigured, match="SECRET_KEY=new,former"):
        async with alone.router.lifespan_context(alone):
            pass

    assert ada.email
