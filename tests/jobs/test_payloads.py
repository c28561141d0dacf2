"""Payloads of jobs: one codec, which also reads the jobs of the previous release."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import orjson
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.accounts.services.email_addresses import SendVerification
from app.accounts.services.erasure import EraseIpAddresses
from app.accounts.services.passwords import SendReset
from app.accounts.services.pending_registrations import FinishRegistration
from app.database.database import Database
from app.jobs.handlers import Payload, PermanentFailure, read_payload, write_payload
from app.jobs.services.queue import Jobs
from app.jobs.services.worker import Worker
from app.mail.services.outgoing_emails import SendEmail

USER_ID = uuid.UUID(int=1)
NO_SURROGATES = st.text(st.characters(codec="utf-8"))


@dataclass(frozen=True, slots=True)
class Reminder:
    job: ClassVar[str] = "notes.reminder"

    user_id: uuid.UUID
    due_at: datetime
    title: str | None
    tries: int = 1
    labels: tuple[str, ...] = ()


@given(
    st.builds(
        Reminder,
        user_id=st.uuids(),
        due_at=st.datetimes(timezones=st.just(UTC)),
        title=st.none() | NO_SURROGATES,
        tries=st.integers(min_value=-(2**53), max_value=2**53),
        labels=st.lists(NO_SURROGATES).map(tuple),
    )
)
def test_a_payload_that_was_written_is_read(reminder: Reminder) -> None:
    assert read_payload(Reminder, write_payload(reminder)) == reminder


@pytest.mark.parametrize(
    ("written", "payload"),
    [
        (
            {"letter": "verify_registration", "to": "a@b.c", "token": "t", "lifetime": "1 day"},
            SendEmail("verify_registration", "a@b.c", "t", "1 day"),
        ),
        (
            {"letter": "verify_email", "to": "a@b.c", "token": None, "others": "yes"},
            SendEmail("verify_email", "a@b.c", others="yes"),
        ),
        (
            {
                "email": "a@b.c",
                "password_hash": "$2b$",
                "display_name": None,
                "ip_address": "192.0.2.1",
                "request_id": "r",
            },
            FinishRegistration("a@b.c", "$2b$", None, "192.0.2.1", "r"),
        ),
        ({"user_id": str(USER_ID)}, EraseIpAddresses(USER_ID)),
        ({"email": "a@b.c"}, SendVerification("a@b.c")),
        ({"email": None}, SendReset(None)),
    ],
)
def test_jobs_of_the_previous_release_are_read(written: dict[str, Any], payload: Payload) -> None:
    assert read_payload(type(payload), orjson.dumps(written)) == payload


def test_the_previous_release_reads_the_jobs_of_this_one() -> None:
    written = [
        write_payload(SendEmail("verify_email", "a@b.c", "t")),
        write_payload(EraseIpAddresses(USER_ID)),
        write_payload(SendReset(None)),
    ]

    assert list(map(orjson.loads, written)) == [
        {
            "letter": "verify_email",
            "to": "a@b.c",
            "token": "t",
            "lifetime": None,
            "others": None,
            "locale": None,
            "values": {},
        },
        {"user_id": str(USER_ID)},
        {"email": None, "locale": None},
    ]


def test_a_field_of_a_newer_release_is_ignored() -> None:
    assert read_payload(SendReset, b'{"email": "a@b.c", "reason": "new"}') == SendReset("a@b.c")


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (b'{"email": "a@b.c"}', "its payload is not a EraseIpAddresses: user_id"),
        (b'{"user_id": "a@b.c"}', "its payload is not a EraseIpAddresses: user_id"),
        (b'["a@b.c"]', "its payload is not a EraseIpAddresses"),
        (b"a@b.c", "its payload is not a EraseIpAddresses"),
    ],
)
def test_a_payload_of_another_shape_fails_without_revealing_its_content(
    written: bytes, reason: str
) -> None:
    with pytest.raises(PermanentFailure) as refused:
        read_payload(EraseIpAddresses, written)

    assert str(refused.value) == reason


# It empties the database afterwards.
@pytest.mark.usefixtures("api")
async def test_a_job_with_a_payload_of_another_shape_is_tried_once_and_kept(
    app: FastAPI, db: Database
) -> None:
    @dataclass(frozen=True, slots=True)
    class OtherReset:
        job: ClassVar[str] = SendReset.job

        addresses: Sequence[str]

    parts = app.state.portico
    async with db.begin() as session:
        await parts.services[Jobs].enqueue(session, OtherReset(["ada@example.com"]), about=None)
    await parts.services[Worker].drain()

    (kept,) = await parts.services[Jobs].failed()
    assert (kept.name, kept.tries) == ("password.reset_asked", 0)
    assert kept.failure == "its payload is not a SendReset: email"
    assert "ada@" not in str(await db.rows(text("SELECT * FROM pgqueuer_log")))
