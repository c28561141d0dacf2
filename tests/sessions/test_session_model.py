"""A model of one session: tabs that share a store, lost responses, a clock, and a thief."""

import asyncio
import uuid
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    rule,
    run_state_machine_as_test,
)

from app.accounts.services.registration import Accounts
from app.composition import Portico, build
from app.security.access_tokens import AccessTokens
from app.security.client import Client
from app.sessions.services.outcomes import SignedIn
from app.sessions.services.refresh import GRACE, SessionEnded, TokenRefresh
from app.sessions.services.viewers import Viewers
from app.settings import Settings
from app.testing.clock import FakeClock

CLIENT = Client(ip_address=None, user_agent=None)
WINDOW_SECONDS = int(GRACE.total_seconds())


class OneSession(RuleBasedStateMachine):
    """`step` is the number of the newest token; each actor has the tokens of some step."""

    portico: Portico
    clock: FakeClock
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.step = 0
        self.used = -1
        self.since_step = 0
        self.over = False
        self.thief_acted = False

    stolen = Bundle("stolen")

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @initialize()
    def sign_in(self) -> None:
        self.clock.reset()
        email = f"{uuid.uuid4().hex}@example.com"
        accounts = self.portico.services[Accounts]
        result = self.run(accounts.register(email, "difference engine 1", None, CLIENT))
        assert isinstance(result, SignedIn)
        self.owner = (0, result)

    def refresh(self, held: tuple[int, SignedIn]) -> tuple[int, SignedIn] | None:
        """Refresh, and compare the outcome with the rules of the rotation."""
        number, tokens = held
        answer = self.run(
            self.portico.services[TokenRefresh].refresh(tokens.tokens.refresh_token, CLIENT)
        )
        repeats = number == self.step - 1 and (
            self.since_step <= WINDOW_SECONDS or self.used < self.step
        )
        if self.over or not (number == self.step or repeats):
            assert isinstance(answer, SessionEnded)
            self.over = True
            return None
        assert isinstance(answer, SignedIn)
        if number == self.step:
            self.used = max(self.used, number)
            self.step, self.since_step = self.step + 1, 0
        return (self.step, answer)

    def use(self, held: tuple[int, SignedIn]) -> bool:
        """Make a request with the access token, and return whether it was accepted."""
        viewer = self.run(self.viewer(held[1].tokens.access_token))
        assert (viewer is None) is self.over
        if viewer is not None:
            self.used = max(self.used, held[0])
        return viewer is not None

    async def viewer(self, access_token: str) -> Any:
        claims = await self.portico.services[AccessTokens].verify(access_token)
        return await self.portico.services[Viewers].find(claims) if claims else None

    @rule(lost=st.booleans())
    def the_owner_refreshes(self, lost: bool) -> None:
        answer = self.refresh(self.owner)
        if answer is None:
            assert self.thief_acted, "an honest owner was signed out"
        elif not lost:
            self.owner = answer

    @rule()
    def two_tabs_refresh_at_once(self) -> None:
        async def both() -> list[Any]:
            token = self.owner[1].tokens.refresh_token
            token_refresh = self.portico.services[TokenRefresh]
            return list(
                await asyncio.gather(*(token_refresh.refresh(token, CLIENT) for _ in range(2)))
            )

        if self.over or self.owner[0] != self.step:
            return
        answers = self.run(both())
        assert len({answer.tokens.refresh_token for answer in answers}) == 1
        self.used, self.step, self.since_step = max(self.used, self.step), self.step + 1, 0
        self.owner = (self.step, answers[1])

    @rule()
    def the_owner_makes_a_request(self) -> None:
        assert self.use(self.owner) or self.thief_acted

    @rule(target=stolen)
    def the_thief_copies_what_the_owner_holds(self) -> Any:
        return self.owner

    @rule(target=stolen, loot=consumes(stolen))
    def the_thief_refreshes(self, loot: Any) -> Any:
        self.thief_acted = True
        return self.refresh(loot) or loot

    @rule(loot=stolen)
    def the_thief_makes_a_request(self, loot: Any) -> None:
        self.thief_acted = True
        self.use(loot)

    @rule(seconds=st.sampled_from([1, 20, 40]))
    def time_passes(self, seconds: int) -> None:
        # In all, less than the lifetime of an access token: the model has no expiry.
        if self.clock.ahead_seconds + seconds < 800:
            self.clock.pass_(seconds=seconds)
            self.since_step += seconds

    def teardown(self) -> None:
        """The session is over once thief and owner both acted after the window, on other steps."""
        if self.thief_acted and not self.over and self.owner[0] < self.step - 1:
            assert self.refresh(self.owner) is None


@pytest.mark.usefixtures("api")
def test_no_sequence_of_actions_breaks_the_rotation(settings: Settings, clock: FakeClock) -> None:
    loop = asyncio.new_event_loop()
    portico = build(settings, clock)
    loop.run_until_complete(portico.start())
    parts = {"portico": portico, "clock": clock, "loop": loop}

    run_state_machine_as_test(
        type("Model", (OneSession,), parts),
        settings=hypothesis.settings(max_examples=60, stateful_step_count=20, deadline=None),
    )

    clock.reset()
    loop.run_until_complete(portico.stop())
    loop.close()
