"""All emails of an account: each step over real HTTP, each email over real SMTP."""

import asyncio
import time
from pathlib import Path
from typing import NamedTuple

import httpx
from sqlalchemy import make_url

from app.database import migrations
from app.testing.outbox import TOKEN
from tests.cli.test_serve import SECRET
from tests.jobs.test_jobs import words
from tests.support.servers import Server, serving
from tests.support.smtp_server import SmtpServer, running_smtp_server

ADA, COUNTESS, EVE = "ada@example.com", "countess@example.com", "eve@example.com"
FIRST, SECOND, THIRD = "difference engine 1", "punched cards in brass", "analytical engine 9"
ADMIN = {
    "FIRST_ADMIN_EMAIL": "root@example.com",
    "FIRST_ADMIN_PASSWORD": "nanoseconds of wire",
}
SIGNED_IN = "... on SignedIn { tokens { accessToken } }"


class Step(NamedTuple):
    """A mutation, the type of its result and its emails; `{token}` is the one of the last email."""

    mutation: str
    result: str
    emails: tuple[tuple[str, str], ...] = ()
    selection: str = ""


ACCOUNT = (
    Step(
        f'register(input: {{email: "{ADA}", password: "{FIRST}"}})',
        "VerificationSent",
        ((ADA, "Confirm your registration"),),
    ),
    Step(
        f'requestEmailVerification(input: {{email: "{ADA}"}})',
        "RequestAccepted",
        ((ADA, "Confirm your registration"),),
    ),
    Step(f'login(input: {{email: "{ADA}", password: "{FIRST}"}})', "InvalidCredentials"),
    Step('verifyEmail(input: {token: "{token}"})', "SignedIn", (), SIGNED_IN),
    Step(
        f'register(input: {{email: "{ADA}", password: "{FIRST}"}})',
        "VerificationSent",
        ((ADA, "You have an account already"),),
    ),
    Step(
        f'requestEmailChange(input: {{newEmail: "{COUNTESS}", password: "{FIRST}"}})',
        "RequestAccepted",
        (
            (ADA, "A change of your email address was requested"),
            (COUNTESS, "Confirm your new email address"),
        ),
    ),
    Step(
        'confirmEmailChange(input: {token: "{token}"})',
        "UserChanged",
        ((ADA, "Your email address was changed"),),
    ),
    Step(
        f'requestPasswordReset(input: {{email: "{COUNTESS}"}})',
        "RequestAccepted",
        ((COUNTESS, "Choose a new password"),),
    ),
    Step(
        f'resetPassword(input: {{token: "{{token}}", newPassword: "{SECOND}"}})',
        "UserChanged",
        ((COUNTESS, "Your password was changed"),),
    ),
    Step(f'login(input: {{email: "{COUNTESS}", password: "{SECOND}"}})', "SignedIn", (), SIGNED_IN),
    Step(
        f'changePassword(input: {{currentPassword: "{SECOND}", newPassword: "{THIRD}"}})',
        "PasswordChanged",
        ((COUNTESS, "Your password was changed"),),
        "... on PasswordChanged { tokens { accessToken } }",
    ),
    Step('updateProfile(input: {displayName: "Ada"})', "UserChanged"),
    Step(
        f'deleteAccount(input: {{password: "{THIRD}"}})',
        "AccountDeleted",
        ((COUNTESS, "Your account was deleted"),),
    ),
)
INVITATION = (
    Step(
        'login(input: {email: "root@example.com", password: "nanoseconds of wire"})',
        "SignedIn",
        (),
        SIGNED_IN,
    ),
    Step(
        f'createUser(input: {{email: "{EVE}"}})', "UserChanged", ((EVE, "You have been invited"),)
    ),
    Step(
        f'resetPassword(input: {{token: "{{token}}", newPassword: "{SECOND}"}})',
        "UserChanged",
        ((EVE, "Your password was changed"),),
    ),
    Step(f'login(input: {{email: "{EVE}", password: "{SECOND}"}})', "SignedIn", (), SIGNED_IN),
)


def test_every_step_is_answered_and_every_email_arrives(tmp_path: Path, empty_url: str) -> None:
    with running_smtp_server() as smtp:
        environment = {
            "DATABASE_URL": make_url(empty_url).render_as_string(hide_password=False),
            "SECRET_KEY": SECRET,
            "SMTP_URL": f"smtp://127.0.0.1:{smtp.port}",
            "EMAIL_VERIFICATION": "required",
        }
        asyncio.run(asyncio.to_thread(migrations.upgrade, empty_url))
        with serving(tmp_path, **environment, **ADMIN) as server:
            for steps in (ACCOUNT, INVITATION):
                smtp.emails.clear()
                run_steps(server, smtp, steps)


def run_steps(server: Server, smtp: SmtpServer, steps: tuple[Step, ...]) -> None:
    token, headers, arrived = "", dict[str, str](), 0
    for step in steps:
        mutation = step.mutation.replace("{token}", token)
        document = f"mutation {{ done: {mutation} {{ __typename {step.selection} }} }}"
        answer = httpx.post(
            f"{server.url}/graphql", json={"query": document}, headers=headers
        ).json()
        assert answer["data"]["done"]["__typename"] == step.result, (step, answer)
        if step.selection:
            access_token = answer["data"]["done"]["tokens"]["accessToken"]
            headers = {"authorization": f"Bearer {access_token}"}
        emails = wait_for(smtp, arrived, len(step.emails))
        assert sorted((to, subject) for to, subject, _ in emails) == sorted(step.emails)
        arrived += len(emails)
        token = next((found[0] for *_, text in emails if (found := TOKEN.search(text))), token)


def wait_for(smtp: SmtpServer, after: int, number: int) -> list[tuple[str, str, str]]:
    """Wait for this number of new emails; returns all that have arrived."""
    deadline = time.monotonic() + 20
    while len(smtp.emails) < after + number and time.monotonic() < deadline:
        time.sleep(0.02)
    emails = smtp.emails[after:]
    return [(each["To"], each["Subject"], words(each)) for each in emails]
