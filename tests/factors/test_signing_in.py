"""Signing in with a second factor."""

from app.testing.clients import Api
from tests.support.authenticator import ANSWER, LOGIN, Enrolled


async def test_a_password_alone_gets_a_challenge(api: Api, enrolled: Enrolled) -> None:
    data = await api(LOGIN, input=enrolled.person.credentials)

    assert data["login"]["__typename"] == "ChallengeRequired"
    assert data["login"]["challenge"]["methods"] == ["TOTP", "RECOVERY_CODE"]


async def test_a_code_completes_the_sign_in(api: Api, enrolled: Enrolled) -> None:
    token = await enrolled.challenge(api)

    answer = {"totp": enrolled.app.next_code()}
    data = await api(ANSWER, input={"token": token, "answer": answer})

    assert data["answerChallenge"]["__typename"] == "SignedIn"
    assert data["answerChallenge"]["session"]["methods"] == ["PASSWORD", "TOTP"]


async def test_a_recovery_code_completes_the_sign_in_once(api: Api, enrolled: Enrolled) -> None:
    answer = {"recoveryCode": enrolled.codes[0].lower().replace("-", " ")}

    first = await api(ANSWER, input={"token": await enrolled.challenge(api), "answer": answer})
    second = await api(ANSWER, input={"token": await enrolled.challenge(api), "answer": answer})

    kinds = [each["answerChallenge"]["__typename"] for each in (first, second)]
    assert kinds == ["SignedIn", "InvalidCode"]


async def test_a_code_works_once(api: Api, enrolled: Enrolled) -> None:
    answer = {"totp": enrolled.app.next_code()}

    first = await api(ANSWER, input={"token": await enrolled.challenge(api), "answer": answer})
    second = await api(ANSWER, input={"token": await enrolled.challenge(api), "answer": answer})

    kinds = [each["answerChallenge"]["__typename"] for each in (first, second)]
    assert kinds == ["SignedIn", "InvalidCode"]
