"""Compares what the answers said with what is in the database, after a run."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from answers import Answer, Asker, Kind
from fleet import Fleet, wait_for
from simulated_users import LOGIN, PASSWORD, REFRESH, Ledger

AT_ONCE = 4
JOBS_SECONDS = 120
UNSENT = "SELECT count(*) AS jobs FROM pgqueuer"
RECIPIENT = re.compile(r"^To: (\S+)$", re.MULTILINE)
# Both rows of a pair are written in one transaction: one alone is a torn write.
HALVES = {
    "people without an event": """
        SELECT count(*) FROM users u WHERE role = 'MEMBER' AND NOT EXISTS
        (SELECT FROM audit_events e WHERE e.name = 'user.registered' AND e.target_id = u.id)""",
    "people without a session": """
        SELECT count(*) FROM users u WHERE role = 'MEMBER' AND NOT EXISTS
        (SELECT FROM sessions s WHERE s.user_id = u.id)""",
    "events of users who do not exist": """
        SELECT count(*) FROM audit_events e WHERE e.name = 'user.registered' AND NOT EXISTS
        (SELECT FROM users u WHERE u.id = e.target_id)""",
    "difference between sessions and events of their start": """
        SELECT abs((SELECT count(*) FROM sessions) - (SELECT count(*) FROM audit_events
        WHERE name = 'session.started'))""",
}


def check_consistency(fleet: Fleet, ledger: Ledger) -> Iterator[tuple[str, int, int]]:
    """Returns what was compared, how many there were, and how many are wrong."""
    yield "accounts: each can sign in", *_each(fleet, ledger.registered, _cannot_sign_in)
    there = {row["email"] for row in fleet.fetch("SELECT email FROM users")}
    told_not = ledger.not_registered
    yield "registrations refused with 503: not done", len(told_not), len(there & set(told_not))
    done = [email for email in ledger.unsure if email in there]
    yield (
        "registrations of unknown outcome: complete, or not done",
        *_each(fleet, done, _cannot_sign_in),
    )
    yield (
        "active sessions: each continues",
        *_each(fleet, [each.refresh for each in ledger.alive], _is_over),
    )
    yield (
        "sessions signed out: none is valid",
        *_each(fleet, [each.refresh for each in ledger.ended], lambda *given: not _is_over(*given)),
    )
    yield "requested emails: each was sent", len(ledger.emails), _missing_emails(fleet, ledger)
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
