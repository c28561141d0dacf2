"""Checks that a fleet survives outages of its databases, and a replica that cannot be used."""

import signal
import time

from answers import Kind
from faults import refused_role, replay_paused, standstill
from fleet import is_ready, wait_for
from scene import USERS, Scene, done, holds, managed, same
from simulated_users import ME

PROCESSES = 3
PAGES = 20
# How long a page that waits for the replica may take on a busy machine, through two proxies.
WAIT_SECONDS, LONGEST_SECONDS = 0.4, 3.0
NOTICED_SECONDS = 30
# The longest pause of a worker that cannot connect, and ten seconds for a slow machine.
RECONNECTED_SECONDS = 40
# Several checks of each process.
STAYS_SECONDS = 6
REFUSED = "is not permitted to log in"
POOLER_REFUSES = "server login has been failing"


def service_returns_after_pgbouncer(them: Scene) -> None:
    them.survives("PgBouncer restarted under load", them.fleet["pgbouncer"].restart)


def service_returns_after_postgresql(them: Scene) -> None:
    them.survives("PostgreSQL restarted under load", them.fleet["primary"].restart)


def a_refused_role_is_an_outage(them: Scene) -> None:
    """PostgreSQL refuses the worker, PgBouncer the servers, and the logs show both."""
    fleet, ports = them.fleet, them.fleet.ports

    def refuse() -> None:
        with refused_role(fleet):
            for port in (ports.portico_1, ports.portico_2):
                wait_for(lambda port=port: not is_ready(port), seconds=NOTICED_SECONDS,
                         what="a server that is not ready")  # fmt: skip
            same(managed(ports.management_worker, "/health/ready")[0], 503)
            code, found = them.doctor()
        same(code, 1)
        holds(REFUSED in found["database"], f"the doctor names it: {found['database']}")

    them.survives("the role of servers was set NOLOGIN", refuse)
    for name, said in {
        "worker": REFUSED,
        "portico-1": POOLER_REFUSES,
        "pgbouncer": REFUSED,
    }.items():
        holds(said in fleet[name].logs(), f"the log of {name} has: {said}")
    for port in (ports.portico_1, ports.portico_2):
        holds(is_ready(port), "ready again")
    them.say("readiness, doctor and logs showed the error of PostgreSQL or PgBouncer")


def the_worker_is_ready_again(them: Scene) -> None:
    """It tries to connect at increasing intervals."""
    port = them.fleet.ports.management_worker
    wait_for(
        lambda: managed(port, "/health/ready")[0] == 200,
        seconds=RECONNECTED_SECONDS,
        what="a worker that is ready again",
    )
    them.say("the worker is ready again, by itself")


def a_hanging_replica_costs_a_second_once(them: Scene) -> None:
    with standstill(them.fleet, "replica"):
        waited = _waits_for_pages(them)
        them.wait_for_replica(in_use=False)
        code, found = them.doctor()
    same((code, found["replica"].partition(":")[0]), (1, "failed"))
    back = them.wait_for_replica(in_use=True)
    them.say(f"the replica hung: {waited}; read again after {back:.1f} s")


def a_late_replica_is_left_out(them: Scene) -> None:
    with replay_paused(them.fleet):
        late = them.registered("late@example.com")["accessToken"]
        seconds = them.wait_for_replica(in_use=False)
        holds("late@example.com" in them.people(), "pages are current again")
        same(done(them.ask(ME, token=late))["me"], {"email": "late@example.com"})
    back = them.wait_for_replica(in_use=True)
    them.say(
        f"the replica was behind: left out after {seconds:.1f} s, read again after {back:.1f} s"
    )


def pages_come_without_the_replica(them: Scene) -> None:
    replica = them.fleet["replica"]
    replica.stop(signal.SIGQUIT)
    waited = _waits_for_pages(them)
    them.wait_for_replica(in_use=False)
    replica.start()
    back = them.wait_for_replica(in_use=True)
    them.say(f"the replica was killed: {waited}; read again after {back:.1f} s")


def a_promoted_replica_is_left_out_for_good(them: Scene) -> None:
    holds(them.on_replica("SELECT pg_promote()"), "the replica was promoted")
    seconds = them.wait_for_replica(in_use=False)
    them.registered("last@example.com")
    holds("last@example.com" in them.people(), "pages come from the primary")
    time.sleep(STAYS_SECONDS)
    them.wait_for_replica(in_use=False)
    holds("it is not a standby" in them.fleet["portico-1"].logs(), "the log says why")
    them.say(f"the replica was promoted: left out after {seconds:.1f} s, and for good")


def nginx_answers_that_nothing_was_done(them: Scene) -> None:
    same(them.ask("x" * 70_000).detail[:14], "413: b'{\"error")
    for name in ("portico-1", "portico-2"):
        them.fleet[name].stop()
    same(them.ask(ME).kind, Kind.NOT_DONE)
    them.say("without either process nginx says that nothing was done, and when to try again")


def _waits_for_pages(them: Scene) -> str:
    """Request pages that the replica does not answer: each process waits for it at most once."""
    answers = [them.ask(USERS, token=them.root) for _ in range(PAGES)]
    for answer in answers:
        done(answer)
    waited = [answer.seconds for answer in answers if answer.seconds > WAIT_SECONDS]
    longest = max(waited, default=0)
    holds(len(waited) <= PROCESSES, f"only the first request waits: {waited}")
    holds(longest < LONGEST_SECONDS, f"no request waits for {longest:.1f} s")
    return f"{len(waited)} of {PAGES} pages waited for it, at most {longest:.1f} s"
