"""Measures whether response times tell who has an account, and why a code or passkey is refused."""

import argparse
import asyncio
import random
import time
from base64 import b32decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import asyncpg
from client import Client
from database import address
from processes import BenchmarkFailed
from script import run_script
from stage import UNTHROTTLED, Stage, machine, pin_this_script, stage, write_result
from statistic import mann_whitney, percentile
from tables import grid, report

from app.security import totp
from tests.support.passkeys import EDDSA, ES256, RS256, Credential, Json, SoftwareAuthenticator

WRONG = "not the password of anybody"
NEW = "a password that nobody has 7"
KNOWN, AGAIN, UNKNOWN = "known", "known, once more", "unknown"
USED, EXPIRED, MADE_UP, MADE_UP_AGAIN = "used", "expired", "unknown", "unknown, once more"
CODE, NEAR, CODE_AGAIN = "wrong code", "wrong code, right first digits", "wrong code, once more"
RECOVERY = "wrong recovery code"
NO_PASSKEY, NO_PASSKEY_AGAIN = "unknown passkey", "unknown passkey, once more"
WRONG_SIGNATURE, WRONG_ORIGIN = "wrong signature", "wrong page"
WRONG_CEREMONY, USED_CEREMONY = "unknown ceremony", "used ceremony"
OF_EDDSA, OF_RSA = "wrong signature of Ed25519", "wrong signature of RSA"
WARM_UP = 20
SUSPICIOUS = 0.01
LOGIN = (
    "mutation A($email: String!, $password: String!)"
    " { answer: login(input: {email: $email, password: $password})"
    " { __typename ... on ChallengeRequired { challenge { token } } } }"
)
REGISTER = (
    "mutation A($email: String!, $password: String!)"
    " { answer: register(input: {email: $email, password: $password}) { __typename } }"
)
RESET = (
    "mutation A($email: String!)"
    " { answer: requestPasswordReset(input: {email: $email}) { __typename } }"
)
ANSWER = (
    "mutation A($token: String!, $answer: ChallengeAnswer!)"
    " { answer: answerChallenge(input: {token: $token, answer: $answer}) { __typename } }"
)
BEGIN = "mutation { answer: beginTotpEnrollment { ... on TotpEnrollment { secret } } }"
CONFIRM = (
    "mutation A($code: String!)"
    " { answer: confirmTotpEnrollment(input: {code: $code}) { __typename } }"
)
BEGIN_PASSKEY = "mutation { answer: beginPasskeyRegistration { ceremony publicKey } }"
ADD_PASSKEY = (
    "mutation A($ceremony: String!, $credential: JSON!)"
    " { answer: finishPasskeyRegistration(input: {ceremony: $ceremony, credential: $credential})"
    " { __typename } }"
)
BEGIN_SIGN_IN = "mutation { answer: beginPasskeySignIn { ceremony publicKey } }"
SIGN_IN = (
    "mutation A($ceremony: String!, $credential: JSON!)"
    " { answer: signInWithPasskey(input: {ceremony: $ceremony, credential: $credential})"
    " { __typename } }"
)
# A code is used once, but each user has a factor of their own, with the same secret here.
COPY_FACTOR = """
INSERT INTO factors SELECT gen_random_uuid(), u.id, f.kind, f.created_at, NULL
FROM users u, factors f WHERE u.id <> f.user_id AND f.kind = 'TOTP'
"""
COPY_TOTP = """
INSERT INTO totp_secrets (user_id, factor_id, sealed_secret, sealed_with, last_step)
SELECT f.user_id, f.id, s.sealed_secret, s.sealed_with, 0
FROM factors f, totp_secrets s WHERE f.id <> s.factor_id AND f.kind = 'TOTP'
"""
# The hashes are of codes of another user: a wrong code is wrong with any.
COPY_RECOVERY_CODES = """
INSERT INTO recovery_codes SELECT u.id, c.sealed_key, c.sealed_with, c.hashes, c.created_at
FROM users u, recovery_codes c WHERE u.id <> c.user_id
"""
COPY_FACTORS = (COPY_FACTOR, COPY_TOTP, COPY_RECOVERY_CODES, "VACUUM ANALYZE")
EXPIRE = (
    "UPDATE challenges SET expires_at = now() - interval '1 minute' FROM users u"
    " WHERE u.id = user_id AND email = ANY($1)"
)
# Emails are sent by another process: a worker in this one would be busier for known addresses.
VERIFYING = {"EMAIL_VERIFICATION": "required", "SMTP_URL": "console:", "JOBS_WORKER": "false"}

Variables = dict[str, Any]
Times = dict[str, list[float]]


@dataclass(frozen=True)
class Question:
    """What should take the same time whichever of these cases it is."""

    title: str
    operation: str
    expected: str
    # What is sent in each case, for the n-th sample.
    cases: Mapping[str, Callable[[int], Variables]]
    # What is compared, and then the control: two cases that are the same.
    compared: Sequence[tuple[str, str]]
    note: str


def main(options: argparse.Namespace) -> None:
    rows = options.samples + WARM_UP
    with stage(8 * rows + 20, rounds=options.bcrypt_rounds) as set_up:
        settings = {**UNTHROTTLED, **VERIFYING, "BCRYPT_ROUNDS": str(options.bcrypt_rounds)}
        with set_up.portico(settings) as server:
            pin_this_script()
            client = Client(server.port)
            answered = [(each, times(client, each, options.samples)) for each in accounts()]
            secret, devices = enroll_all(client, set_up, server.port)
            with_factors = [wrong_passwords(), *challenges(client, set_up, rows, secret)]
            with_factors.append(passkeys(client, devices))
            answered += [(each, times(client, each, options.samples)) for each in with_factors]
        about = machine(set_up)
    text = "\n\n".join(report_of(each, taken, options) for each, taken in answered)
    text += "\n\n" + "\n".join(f"- {name}: {value}" for name, value in about.items())
    write_result("timing.md", text)
    print(text)


def accounts() -> list[Question]:
    """Returns whether the time tells who has an account."""
    note = "Every address was used once."
    title = "Whether the time of `{}` tells who has an account"
    of_known = [(KNOWN, UNKNOWN), (KNOWN, AGAIN)]
    asked: tuple[tuple[str, str, str, Variables], ...] = (
        ("login", LOGIN, "InvalidCredentials", {"password": WRONG}),
        ("register", REGISTER, "VerificationSent", {"password": NEW}),
        ("requestPasswordReset", RESET, "RequestAccepted", {}),
    )
    return [
        Question(title.format(name), operation, expected, _addresses(more), of_known, note)
        for name, operation, expected, more in asked
    ]


def wrong_passwords() -> Question:
    title = "Whether the time of `login` tells who has an account, where it has a second factor"
    compared = [(KNOWN, UNKNOWN), (KNOWN, AGAIN)]
    note = "Every address was used once since all accounts have a factor. The password is wrong."
    cases = _addresses({"password": WRONG})
    return Question(title, LOGIN, "InvalidCredentials", cases, compared, note)


def challenges(client: Client, set_up: Stage, rows: int, secret: bytes) -> list[Question]:
    """Sign in as so many users for each case, and return what the answers should not tell."""
    cases = (USED, EXPIRED, CODE, NEAR, CODE_AGAIN, RECOVERY)
    # From the third user on: the first one has made the secret.
    first = {case: 2 + index * rows for index, case in enumerate(cases)}
    tokens = {
        case: [_challenge(client, set_up, start + number) for number in range(1, rows + 1)]
        for case, start in first.items()
    }
    for token in tokens[USED]:
        _expect(client, ANSWER, _totp(token, _code(secret)), "SignedIn")
    expired = [address(first[EXPIRED] + number) for number in range(1, rows + 1)]
    asyncio.run(_execute(set_up.database_url, EXPIRE, expired))
    return [_tokens(tokens, secret), _codes(tokens, secret)]


def _tokens(tokens: Mapping[str, Sequence[str]], secret: bytes) -> Question:
    def of(case: str) -> Callable[[int], Variables]:
        return lambda number: _totp(tokens[case][number - 1], _far(secret))

    def made_up(_: int) -> Variables:
        # As long as a token of Portico, and of its alphabet.
        token = tokens[USED][0]
        prefix = token[: token.index("_") + 1]
        letters = [random.choice("abcdefghijklmnop") for _ in token[len(prefix) :]]
        return _totp(prefix + "".join(letters), _far(secret))

    return Question(
        "Whether the time of `answerChallenge` tells what became of a challenge",
        ANSWER,
        "ChallengeExpired",
        {MADE_UP: made_up, MADE_UP_AGAIN: made_up, USED: of(USED), EXPIRED: of(EXPIRED)},
        [(USED, MADE_UP), (EXPIRED, MADE_UP), (USED, EXPIRED), (MADE_UP_AGAIN, MADE_UP)],
        "Every challenge was sent once, of an account each, with a code that is wrong.",
    )


def _codes(tokens: Mapping[str, Sequence[str]], secret: bytes) -> Question:
    def far(case: str) -> Callable[[int], Variables]:
        return lambda number: _totp(tokens[case][number - 1], _far(secret))

    def near(number: int) -> Variables:
        return _totp(tokens[NEAR][number - 1], _near(secret))

    def recovery(number: int) -> Variables:
        token = tokens[RECOVERY][number - 1]
        return {"token": token, "answer": {"recoveryCode": "0000-0000-0000-0000"}}

    return Question(
        "Whether the time of `answerChallenge` tells how much of a code is right",
        ANSWER,
        "InvalidCode",
        {CODE: far(CODE), CODE_AGAIN: far(CODE_AGAIN), NEAR: near, RECOVERY: recovery},
        [(NEAR, CODE), (RECOVERY, CODE), (CODE_AGAIN, CODE)],
        "Every challenge was sent once, of an account each. The first five of six digits are right "
        "in the second case. That a recovery code is looked up elsewhere is no secret: whoever "
        "sends one knows which it is.",
    )


def passkeys(client: Client, devices: Mapping[int, SoftwareAuthenticator]) -> Question:
    """Returns whether the time of a sign-in tells why a passkey is refused, and so which exist."""
    device = devices[ES256]

    def answered(asking: SoftwareAuthenticator, ceremony: str = "", **members: str) -> Variables:
        begun = client(BEGIN_SIGN_IN)["answer"]
        sent = asking.get(begun["publicKey"])
        credential = {**sent, "response": {**sent["response"], **members}}
        return {"ceremony": ceremony or begun["ceremony"], "credential": credential}

    def unknown(_: int) -> Variables:
        nobodys = Credential(ES256, device.credentials[0].user_handle)
        return answered(SoftwareAuthenticator(credentials=[nobodys]))

    def forged(algorithm: int) -> Callable[[int], Variables]:
        """Sign with another key of the same kind, under the id of the one that is registered."""
        registered = devices[algorithm].credentials[0]
        other = Credential(algorithm, registered.user_handle, id=registered.id)
        asking = SoftwareAuthenticator(credentials=[other])
        return lambda _: answered(asking)

    def made_up(_: int) -> Variables:
        token = client(BEGIN_SIGN_IN)["answer"]["ceremony"]
        return answered(device, token[:8] + token[8:][::-1])

    used = answered(device)
    _expect(client, SIGN_IN, used, "SignedIn")
    elsewhere = replace(device, origin="https://evil.example")
    cases: dict[str, Callable[[int], Variables]] = {
        NO_PASSKEY: unknown,
        NO_PASSKEY_AGAIN: unknown,
        WRONG_SIGNATURE: forged(ES256),
        OF_EDDSA: forged(EDDSA),
        OF_RSA: forged(RS256),
        WRONG_ORIGIN: lambda _: answered(elsewhere),
        WRONG_CEREMONY: made_up,
        USED_CEREMONY: lambda _: answered(device, used["ceremony"]),
    }
    others = [case for case in cases if case not in {NO_PASSKEY, NO_PASSKEY_AGAIN}]
    return Question(
        "Whether the time of `signInWithPasskey` tells why a passkey is refused",
        SIGN_IN,
        "PasskeyRefused",
        cases,
        [*((each, NO_PASSKEY) for each in others), (NO_PASSKEY_AGAIN, NO_PASSKEY)],
        "Each was sent for a ceremony of its own, but for those that are used or unknown. Ids of "
        "passkeys are random, of 16 bytes or more: whoever asks about one has seen it. A used "
        "ceremony leaves no row.",
    )


def enroll_all(
    client: Client, set_up: Stage, port: int
) -> tuple[bytes, dict[int, SoftwareAuthenticator]]:
    """Enroll an app for the first user, and copy it to all others. Returns its secret.

    The first user has a passkey of each algorithm, too.
    """
    token = client.login(address(1), set_up.password)
    member = Client(port, token)
    secret = b32decode(member(BEGIN)["answer"]["secret"])
    _expect(member, CONFIRM, {"code": _code(secret)}, "FactorAdded")
    devices = {each: _register(member, each) for each in (ES256, EDDSA, RS256)}
    asyncio.run(_execute_all(set_up.database_url, COPY_FACTORS))
    return secret, devices


def _register(member: Client, algorithm: int) -> SoftwareAuthenticator:
    device = SoftwareAuthenticator(algorithm=algorithm)
    begun: Json = member(BEGIN_PASSKEY)["answer"]
    sent = {"ceremony": begun["ceremony"], "credential": device.create(begun["publicKey"])}
    _expect(member, ADD_PASSKEY, sent, "FactorAdded")
    return device


async def _execute_all(url: str, statements: Sequence[str]) -> None:
    for each in statements:
        await _execute(url, each)


async def _execute(url: str, statement: str, *values: object) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


def _challenge(client: Client, set_up: Stage, number: int) -> str:
    variables = {"email": address(number), "password": set_up.password}
    answer = _expect(client, LOGIN, variables, "ChallengeRequired")
    return str(answer["challenge"]["token"])


def _expect(client: Client, query: str, variables: Variables, expected: str) -> dict[str, Any]:
    answer = client(query, variables)["answer"]
    if answer["__typename"] != expected:
        raise BenchmarkFailed(f"{answer['__typename']} instead of {expected}.")
    return answer


def _totp(token: str, code: str) -> Variables:
    return {"token": token, "answer": {"totp": code}}


def _step() -> int:
    return int(time.time()) // totp.PERIOD_SECONDS


def _code(secret: bytes, drift: int = 0) -> str:
    return totp.code_at(secret, _step() + drift).decode()


def _valid(secret: bytes) -> list[str]:
    return [_code(secret, drift) for drift in range(-2, 3)]


def _far(secret: bytes) -> str:
    """Returns a code whose first digit differs from that of each valid one."""
    taken = {each[0] for each in _valid(secret)}
    return next(digit * totp.DIGITS for digit in "0123456789" if digit not in taken)


def _near(secret: bytes) -> str:
    """Returns the code of now with another last digit, which is not valid."""
    valid, code = _valid(secret), _code(secret)
    return next(code[:-1] + digit for digit in "0123456789" if code[:-1] + digit not in valid)


def _addresses(more: Variables) -> dict[str, Callable[[int], Variables]]:
    def unknown(number: int) -> Variables:
        # As long as the other addresses.
        return {"email": address(number).replace("person", "nobody"), **more}

    return {
        KNOWN: lambda number: {"email": address(2 * number), **more},
        AGAIN: lambda number: {"email": address(2 * number + 1), **more},
        UNKNOWN: unknown,
    }


def times(client: Client, question: Question, samples: int) -> Times:
    """Returns milliseconds of answers, with the cases in random alternation."""
    taken: Times = {case: [] for case in question.cases}
    order = list(taken)
    for number in range(1, WARM_UP + samples + 1):
        random.shuffle(order)
        for case in order:
            variables = question.cases[case](number)
            began = time.perf_counter()
            _expect(client, question.operation, variables, question.expected)
            milliseconds = (time.perf_counter() - began) * 1000
            if number > WARM_UP:
                taken[case].append(milliseconds)
    return taken


def report_of(question: Question, taken: Times, options: argparse.Namespace) -> str:
    rows = [
        [
            case,
            f"{median(each):.3f}",
            f"{percentile(each, 0.05):.3f}",
            f"{percentile(each, 0.95):.3f}",
        ]
        for case, each in taken.items()
    ]
    *compared, control = question.compared
    verdicts = [_verdict(taken, *pair, options.samples) for pair in compared]
    more, p = mann_whitney(taken[control[0]], taken[control[1]])
    how = (
        f"For comparison, {control[0]} against {control[1]}: p = {p:.3f}, probability {more:.3f}. "
        f"{question.note} BCRYPT_ROUNDS={options.bcrypt_rounds}, one request at a time."
    )
    table = grid(("case", "median ms", "5 % ms", "95 % ms"), rows)
    return report(question.title, table, [*verdicts, how], {}).rstrip()


def _verdict(taken: Times, one: str, other: str, samples: int) -> str:
    more, p = mann_whitney(taken[one], taken[other])
    apart = median(taken[one]) - median(taken[other])
    return (
        f"{one[0].upper()}{one[1:]} against {other} (Mann-Whitney): **p = {p:.3f}**; the first "
        f"takes longer with probability {more:.3f}, medians {apart:+.3f} ms apart. "
        f"**They can{'' if p < SUSPICIOUS else 'not'} be told apart** with {samples} samples of "
        "each."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--bcrypt-rounds", type=int, default=8)
    run_script(main, parser)
