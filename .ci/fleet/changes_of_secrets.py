"""Checks of SECRET_KEY: a different one is refused, it is rotated under load, and it leaks."""

import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack

from answers import Kind, Watch
from faults import Rotation
from fleet import Fleet, is_ready, wait_for
from processes import free_port
from scene import EVE, HONEST, PASSWORD, Load, Scene, holds, same
from simulated_users import LOGIN, ME

PROCESSES = ("portico-1", "portico-2", "worker")
# How long servers count as alive: three announcements.
GONE_SECONDS = 200
STOPPED_SECONDS = 75
SEALED_WITH_ANOTHER = "Other servers seal with a secret that this one lacks"


def another_secret_is_refused(them: Scene) -> None:
    result = them.fleet.tried(
        "serve", "--port", str(free_port()), SECRET_KEY=secrets.token_urlsafe(48)
    )
    same((result.returncode, len(result.stderr.splitlines())), (1, 1))
    holds("SECRET_KEY does not open the signing keys" in result.stderr, result.stderr)
    them.say("a server with another SECRET_KEY does not start, and says why in one line")


class ChangeOfSecret:
    """The steps of docs/operators/secrets.md; other checks may run between them."""

    def __init__(self) -> None:
        self._rotation = Rotation()

    def open_with_both(self, them: Scene) -> None:
        _under_load(them, "rolling restart to OLD,NEW", self._rotation.open_with_both)

    def seal_with_new(self, them: Scene) -> None:
        _under_load(them, "rolling restart to NEW,OLD", self._rotation.seal_with_new)
        # The key of `keys rotate` signs in six minutes. No client here caches a JWKS, and servers
        # of the next step cannot open the former key.
        them.fleet.portico("keys", "rotate", "--now")

    def forget_former(self, them: Scene) -> None:
        """Only after every session has a refresh token of the new secret."""
        wait_for(
            lambda: SEALED_WITH_ANOTHER not in them.fleet.tried(
                "keys", SECRET_KEY=self._rotation.new
            ).stdout,
            seconds=GONE_SECONDS,
            what="no server that seals with the former secret",
        )  # fmt: skip
        _under_load(them, "rolling restart to NEW", self._rotation.forget_former)


def a_leak_ends_all_that_the_secret_protects(them: Scene) -> None:
    fleet = them.fleet
    fleet.secret_key = secrets.token_urlsafe(48)
    former, root = them.sessions[0], them.root
    reader, writer = them.ask, them.ask
    given = {"input": {"email": EVE, "password": PASSWORD}}
    with ExitStack() as stack:
        watches = [
            stack.enter_context(Watch(ask))
            for ask in (lambda: reader(ME, token=root), lambda: writer(LOGIN, given))
        ]
        # A supervisor would restart them.
        for name in PROCESSES:
            fleet[name].wanted = False
        fleet.portico("keys", "compromised", "--yes")
        seconds = wait_for(
            lambda: _all_ended(fleet),
            seconds=STOPPED_SECONDS,
            what="the end of all processes that have the former secret",
        )
        for name in PROCESSES:
            fleet[name].close()
            fleet[name].start()
        time.sleep(1)
    for watch in watches:
        same(watch.others(*HONEST, Kind.REFUSED), [])
    same(them.ask(ME, token=root).kind, Kind.REFUSED)
    former.ask = them.ask
    same(former.refresh().kind, Kind.REFUSED)
    them.begin()
    them.say(
        f"after `keys compromised` the last process with the former secret stopped in"
        f" {seconds:.1f} s, and everybody has to sign in again"
    )


def _all_ended(fleet: Fleet) -> bool:
    """Request readiness first, as probes do: each process checks by itself once a minute."""
    for port in (fleet.ports.portico_1, fleet.ports.portico_2, fleet.ports.management_worker):
        is_ready(port)
    return all(fleet[name].child.process.poll() is not None for name in PROCESSES)


def _under_load(them: Scene, what: str, step: Callable[[Fleet], None]) -> None:
    """Restart all processes one after the other: no request fails, and no session ends."""
    load = Load(them.fleet, [them.root, them.of_ada()["accessToken"]])
    with load, them.watched() as watches:
        time.sleep(1)
        step(them.fleet)
        time.sleep(1)
    load.check()
    for watch in watches:
        same(watch.others(Kind.DONE), [])
    them.say(
        f"{what} under load: {load.result['requests']:,} requests, none failed, the longest took"
        f" {load.result['longest'] / 1000:.0f} ms, and no session ended"
    )
