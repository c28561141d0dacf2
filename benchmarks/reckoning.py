"""Holds what people were told against what is there, after all is over."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from answers import Answer, Asker, Kind
from crowd import LOGIN, PASSWORD, REFRESH, Ledger
from fleet import Fleet, wait_for

AT_ONCE = 4
JOBS_SECONDS = 120
UNSENT = "SELECT count(*) AS jobs FROM pgqueuer"
RECIPIENT = re.compile(r"^To: (\S+)$", re.MULTILINE)
# Each is written by the transaction that writes the other: one alone is half of something.
HALVES = {
    "people without an event": """
        SELECT count(*) FROM users u WHERE role = 'MEMBER' AND NOT EXISTS
        (SELECT FROM audit_events e WHERE e.name = 'user.registered' AND e.target_id = u.id)""",
    "people without a session": """
        SELECT count(*) FROM users u WHERE role = 'MEMBER' AND NOT EXISTS
        (SELECT FROM sessions s WHERE s.user_id = u.id)""",
    "events of people who are not there": """
        SELECT count(*) FROM audit_events e WHERE e.name = 'user.registered' AND NOT EXISTS
        (SELECT FROM users u WHERE u.id = e.target_id)""",
    "sessions more or fewer than events of their beginning": """
        SELECT abs((SELECT count(*) FROM sessions) - (SELECT count(*) FROM audit_events
        WHERE name = 'session.started'))""",
}


def reckon(fleet: Fleet, ledger: Ledger) -> Iterator[tuple[str, int, int]]:
    """Give what was held against what is there, how much of it there was, and how much is wrong."""
    yield "accounts: each can sign in", *_each(fleet, ledger.registered, _cannot_sign_in)
    there = {row["email"] for row in fleet.fetch("SELECT email FROM users")}
    told_not = ledger.not_registered
    yield "registrations refused with 503: not there", len(told_not), len(there & set(told_not))
    done = [email for email in ledger.unsure if email in there]
    yield (
        "registrations of unknown fate: done whole, or not at all",
        *_each(fleet, done, _cannot_sign_in),
    )
    yield (
        "living sessions: each goes on",
        *_each(fleet, [each.refresh for each in ledger.alive], _is_over),
    )
    yield (
        "sessions signed out: each stays over",
        *_each(fleet, [each.refresh for each in ledger.ended], lambda *given: not _is_over(*given)),
    )
    yield "emails asked for: each left", len(ledger.emails), _missing_emails(fleet, ledger)
    halves = [fleet.fetch(sql)[0][0] for sql in HALVES.values()]
    yield "halves of transactions", len(there), sum(halves)
    yield "untrue answers", len(ledger.asked), len(ledger.untrue)


def _each(fleet: Fleet, what: list[str], is_wrong: Callable[[Asker, str], bool]) -> tuple[int, int]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        parts = [what[number::AT_ONCE] for number in range(AT_ONCE)]
        wrong = pool.map(lambda part: _wrong(Asker(fleet.ports.proxy), part, is_wrong), parts)
        return len(what), sum(wrong)


def _wrong(ask: Asker, what: list[str], is_wrong: Callable[[Asker, str], bool]) -> int:
    return sum(is_wrong(ask, each) for each in what)


def _cannot_sign_in(ask: Asker, email: str) -> bool:
    return not _is_signed_in(ask(LOGIN, {"input": {"email": email, "password": PASSWORD}}))


def _is_over(ask: Asker, refresh: str) -> bool:
    return not _is_signed_in(ask(REFRESH, {"input": {"refreshToken": refresh}}))


def _is_signed_in(answer: Answer) -> bool:
    if answer.kind is not Kind.DONE:
        return False
    return next(iter(answer.data.values()))["__typename"] == "SignedIn"


def _missing_emails(fleet: Fleet, ledger: Ledger) -> int:
    wait_for(
        lambda: fleet.fetch(UNSENT)[0]["jobs"] == 0, seconds=JOBS_SECONDS, what="an empty queue"
    )
    sent = Counter(RECIPIENT.findall(fleet["worker"].logs()))
    return (Counter(ledger.emails) - sent).total()
