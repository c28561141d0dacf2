"""Checks of a fleet in normal operation."""

from answers import Asker
from faults import replay_paused
from fleet import wait_for
from scene import ADA, EVE, PASSWORD, Scene, done, figure, holds, managed, same, the_only
from simulated_users import LOGIN, ME, REFRESH, RESET

FROM = """{ auditEvents(first: 1, filter: {names: ["session.started"]}) { nodes { ipAddress } } }"""
BOUNDS = """
SELECT name, setting FROM pg_settings
WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'jit')
"""


def people_get_in(them: Scene) -> None:
    tokens = them.registered(ADA)
    given = {"input": {"refreshToken": tokens["refreshToken"]}}
    tokens = the_only(done(them.ask(REFRESH, given)))["tokens"]
    me = done(them.ask(ME, token=tokens["accessToken"]))["me"]
    same(me, {"email": ADA})
    them.begin()
    them.say("register, refreshSession, login and me work through nginx and PgBouncer")


def the_doctor_finds_nothing(them: Scene) -> None:
    code, found = them.doctor()
    same((code, [text for text in found.values() if text.startswith("failed")]), (0, []))
    warned = [name for name, text in found.items() if text.startswith("warning")]
    them.say(f"portico doctor: {len(found)} checks, none failed, warnings of {', '.join(warned)}")


def timeouts_apply_behind_the_pooler(them: Scene) -> None:
    """PgBouncer drops Portico's start-up parameters; its configuration sets them instead."""
    for name in ("portico", "portico_read"):
        url = them.fleet.url(port=them.fleet.ports.pooler, name=name)
        rows = {row["name"]: row["setting"] for row in them.fleet.fetch(BOUNDS, url=url)}
        same(rows, {"statement_timeout": "10000", "jit": "off",
                    "idle_in_transaction_session_timeout": "10000"})  # fmt: skip
    them.say("statement_timeout and similar settings apply behind PgBouncer")


def emails_leave(them: Scene) -> None:
    done(them.ask(RESET, {"input": {"email": ADA}}))
    seconds = _wait_for_emails(them, 1)
    them.say(f"an email left by `portico worker` after {seconds:.1f} s")


def the_worker_reports_waiting_jobs(them: Scene) -> None:
    """Its management address shows jobs that waited while no worker ran, and that it runs again."""
    worker, port = them.fleet["worker"], them.fleet.ports.management_worker
    before = worker.logs().count(f"To: {ADA}")
    worker.stop()
    done(them.ask(RESET, {"input": {"email": ADA}}))
    worker.start()
    waited = figure(port, "portico_jobs_oldest_waiting_seconds") or 0
    holds(waited > 0, "the worker has found a job that waits")
    _wait_for_emails(them, before + 1)
    same(managed(port, "/health/ready")[0], 200)
    them.say(f"the worker is ready, and has measured a job that waited for {waited:.1f} s")


def pages_come_from_the_replica(them: Scene) -> None:
    them.wait_for_replica(in_use=True)
    them.replica_catches_up()
    with replay_paused(them.fleet):
        before = them.people()
        eve = them.registered(EVE)["accessToken"]
        same(done(them.ask(ME, token=eve))["me"], {"email": EVE})
        same(them.people(), before)
    wait_for(lambda: EVE in them.people(), seconds=10, what="eve on the replica")
    them.say("users comes from the replica; sessions and me from the primary")


def addresses_are_those_the_proxy_saw(them: Scene) -> None:
    ports = them.fleet.ports
    spoofed = {"x-forwarded-for": "203.0.113.9, 127.0.0.1", "forwarded": "for=203.0.113.9"}
    through = Asker(ports.proxy, source="127.0.0.3")
    around = Asker(ports.portico_1, source="127.0.0.4")
    for ask, address in ((through, "127.0.0.3"), (around, "127.0.0.4")):
        given = {"input": {"email": ADA, "password": PASSWORD}}
        done(ask(LOGIN, given, headers=spoofed))
        them.replica_catches_up()
        event = done(them.ask(FROM, token=them.root))["auditEvents"]["nodes"][0]
        same(event, {"ipAddress": address})
    them.say("the audit has the address that nginx saw, whatever X-Forwarded-For a client sends")


def _wait_for_emails(them: Scene, number: int) -> float:
    worker = them.fleet["worker"]
    return wait_for(
        lambda: worker.logs().count(f"To: {ADA}") >= number, seconds=40, what="an email"
    )
