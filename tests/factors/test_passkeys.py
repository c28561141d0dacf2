"""Registering a passkey, signing in with it, and what it is a factor for."""

import pytest

from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from tests.support import authenticator as factors
from tests.support import passkeys
from tests.support.passkeys import EDDSA, ES256, RS256, SoftwareAuthenticator


@pytest.mark.parametrize("algorithm", [EDDSA, ES256, RS256])
async def test_a_passkey_signs_in_without_a_challenge(
    api: Api, owner: Api, ada: Person, algorithm: int
) -> None:
    device = SoftwareAuthenticator(algorithm=algorithm)
    added = await passkeys.register(owner, device)
    assert added["__typename"] == "FactorAdded", added
    assert len(added["recoveryCodes"]) == 10
    signed_in = await passkeys.sign_in(api, device)
    assert signed_in["__typename"] == "SignedIn", signed_in
    assert signed_in["user"] == {"email": ada.email}
    assert signed_in["session"]["methods"] == ["PASSKEY"]


async def test_a_password_is_challenged_for_the_passkey(api: Api, owner: Api, ada: Person) -> None:
    device = SoftwareAuthenticator()
    await passkeys.register(owner, device)
    login = (await api(factors.LOGIN, input=ada.credentials))["login"]
    assert login["challenge"]["methods"] == ["PASSKEY", "RECOVERY_CODE"]
    token = login["challenge"]["token"]
    begun = (await api(passkeys.BEGIN_CHALLENGE, token=token))["beginPasskeyChallenge"]
    answer = {"ceremony": begun["ceremony"], "credential": device.get(begun["publicKey"])}
    sent = {"token": token, "answer": {"passkey": answer}}
    answered = (await api(factors.ANSWER, input=sent))["answerChallenge"]
    assert answered["__typename"] == "SignedIn", answered
    assert answered["session"]["methods"] == ["PASSWORD", "PASSKEY"]


async def test_a_passkey_steps_up(owner: Api, clock: FakeClock) -> None:
    device = SoftwareAuthenticator()
    await passkeys.register(owner, device)
    clock.pass_(minutes=11)
    assert await owner(factors.RENEW) == {"renewRecoveryCodes": None}
    assert owner.errors[0]["extensions"]["methods"] == ["PASSKEY"]
    begun = (await owner(passkeys.BEGIN_STEP_UP))["beginPasskeyStepUp"]
    answer = {"ceremony": begun["ceremony"], "credential": device.get(begun["publicKey"])}
    stepped = (await owner(factors.STEP_UP, answer={"passkey": answer}))["stepUp"]
    assert stepped["__typename"] == "SteppedUp", stepped
    assert (await owner(factors.RENEW))["renewRecoveryCodes"]
