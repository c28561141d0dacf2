"""The session cookie: signing in with it, refreshing, signing out, and who may use it."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http.cookies import SimpleCookie
from typing import Any

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.main import create_app
from app.settings import Settings
from app.testing.clients import ME, Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from app.testing.settings import settings_for
from tests.support.operations import named, root_fields, sample, smallest

Deliver = Callable[[], Awaitable[None]]

# Of the PUBLIC_URL of tests.
OWN = "http://127.0.0.1:8000"
FRONTEND, PREVIEW, STRANGER = (
    "http://localhost:5173",
    "https://a.preview.app.example",
    "https://x.example",
)
ORIGINS = f"{FRONTEND}, https://*.preview.app.example"
NAME = "portico"
ATTRIBUTES = {"path": "/", "httponly": True, "samesite": "Lax", "max-age": "34560000"}
NEW = "punched cards in brass"
SIGNED_IN = """
  __typename
  ... on SignedIn {
    user { email } session { id } tokens { accessToken refreshToken deviceToken }
  }
"""
LOGIN = f"mutation Login($input: LoginInput!) {{ result: login(input: $input) {{ {SIGNED_IN} }} }}"
REGISTER = (
    f"mutation Register($input: RegisterInput!) "
    f"{{ result: register(input: $input) {{ {SIGNED_IN} }} }}"
)
REFRESH = (
    f"mutation Refresh($input: RefreshSessionInput! = {{}}) "
    f"{{ result: refreshSession(input: $input) "
    f"{{ {SIGNED_IN} ... on SessionEnded {{ reason }} }} }}"
)
REQUEST_VERIFICATION = """
mutation Request($email: String!) {
  requestEmailVerification(input: {email: $email}) { __typename }
}
"""
VERIFY = (
    f"mutation Verify($input: VerifyEmailInput!) "
    f"{{ result: verifyEmail(input: $input) {{ {SIGNED_IN} }} }}"
)
LOGOUT = """
mutation Logout($input: LogoutInput) {
  result: logout(input: $input) { sessionsEnded endedSessionIds }
}
"""
LOGOUT_EVERYWHERE = """
mutation Out($keep: Boolean!) {
  result: logoutEverywhere(input: {keepCurrent: $keep}) { sessionsEnded }
}
"""
REVOKE = """
mutation Revoke($id: ID!) { result: revokeSession(input: {sessionId: $id}) { __typename } }
"""
CHANGE = """
mutation Change($input: ChangePasswordInput!) {
  result: changePassword(input: $input) {
    __typename ... on PasswordChanged { tokens { accessToken refreshToken deviceToken } }
  }
}
"""
RESET = """
mutation Reset($input: ResetPasswordInput!) {
  result: resetPassword(input: $input) { __typename ... on UserChanged { deviceToken } }
}
"""
DELETE = """
mutation Delete($password: String!) {
  result: deleteAccount(input: {password: $password}) { __typename }
}
"""
SUSPEND = """
mutation Suspend($id: ID!) {
  suspendUser(input: {userId: $id, reason: "Spam"}) { __typename }
}
"""


@dataclass(slots=True)
class Browser:
    """A page in a browser: it keeps the cookie for the server, and an access token in memory."""

    api: Api
    origin: str | None = OWN
    cookie: str | None = None
    access_token: str | None = None
    # The cookie as the last answer set it; None if it did not.
    last_set: Any = None

    async def __call__(self, query: str, **variables: Any) -> Any:
        headers = {} if self.origin is None else {"origin": self.origin}
        if self.cookie is not None:
            headers["cookie"] = f"theme=dark; {NAME}={self.cookie}; lang=en"
        if self.access_token is not None:
            headers["authorization"] = f"Bearer {self.access_token}"
        body = {"query": query, "variables": variables}
        response = await self.api.http.post("/graphql", json=body, headers=headers)
        # The client of all tests would send the cookie of one browser for the others.
        self.api.http.cookies.clear()
        self._store(response.headers.get("set-cookie"))
        answer = response.json()
        self.api.errors = answer.get("errors", [])
        data: dict[str, Any] | None = answer.get("data")
        return data and data.get("result", data)

    def _store(self, header: str | None) -> None:
        self.last_set = None
        if header is not None:
            self.last_set = SimpleCookie(header)[NAME]
            self.cookie = self.last_set.value or None

    async def login(self, person: Person) -> Any:
        signed_in = await self(LOGIN, input={**person.credentials, "delivery": "COOKIE"})
        return self.take(signed_in)

    async def refresh(self) -> Any:
        return self.take(await self(REFRESH))

    def take(self, signed_in: Any) -> Any:
        assert signed_in["__typename"] == "SignedIn", (signed_in, self.api.errors)
        self.access_token = signed_in["tokens"]["accessToken"]
        return signed_in

    def other_tab(self) -> "Browser":
        return Browser(self.api, self.origin, self.cookie)

    async def email(self) -> str | None:
        data = await self(ME)
        return data["me"] and data["me"]["email"]

    @property
    def code(self) -> str | None:
        return self.api.last_code

    @property
    def tokens(self) -> list[str]:
        """The kinds of the tokens in the cookie."""
        return [token[:4] for token in (self.cookie or "").split(".") if token]


@pytest.fixture
def browser(api: Api) -> Browser:
    return Browser(api)


@pytest.fixture
async def site(settings: Settings, clock: FakeClock) -> AsyncIterator[Callable[..., Browser]]:
    """Makes browsers of a server that names origins in CORS_ORIGINS."""
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    app = create_app(settings_for(url, cors_origins=ORIGINS), clock)
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        yield partial(Browser, guest)


async def active_sessions(db: Database) -> int:
    rows = await db.rows(text("SELECT count(*) FROM sessions WHERE ended_at IS NULL"))
    return rows[0][0]


async def test_the_long_lived_tokens_are_in_the_cookie_and_nowhere_else(
    browser: Browser, ada: Person
) -> None:
    signed_in = await browser.login(ada)

    tokens = signed_in["tokens"]
    assert (tokens["refreshToken"], tokens["deviceToken"]) == (None, None)
    assert browser.tokens == ["prt_", "pdt_"]
    attributes = {name: value for name, value in browser.last_set.items() if value}
    assert attributes == ATTRIBUTES
    assert await browser.email() == ada.email


async def test_without_delivery_no_cookie_is_set(browser: Browser, ada: Person) -> None:
    signed_in = await browser(LOGIN, input=ada.credentials)

    assert signed_in["tokens"]["refreshToken"].startswith("prt_")
    assert signed_in["tokens"]["deviceToken"].startswith("pdt_")
    assert browser.last_set is None


async def test_a_registration_signs_in_with_the_cookie(browser: Browser) -> None:
    registration = {"email": "new@example.com", "password": NEW, "delivery": "COOKIE"}
    browser.take(await browser(REGISTER, input=registration))

    await browser.refresh()

    assert await browser.email() == "new@example.com"


async def test_over_https_only_the_host_itself_can_set_the_cookie(
    settings: Settings, ada: Person
) -> None:
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    app = create_app(settings_for(url, public_url="https://id.example"))
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        body = {"query": LOGIN, "variables": {"input": {**ada.credentials, "delivery": "COOKIE"}}}
        response = await guest.http.post(
            "/graphql", json=body, headers={"origin": "https://id.example"}
        )

    cookie = SimpleCookie(response.headers["set-cookie"])["__Host-portico"]
    attributes = {name: value for name, value in cookie.items() if value}
    assert attributes == ATTRIBUTES | {"secure": True}


async def test_a_refresh_rotates_the_cookie(browser: Browser, ada: Person) -> None:
    session = (await browser.login(ada))["session"]
    former = browser.cookie
    assert former is not None

    refreshed = await browser.refresh()

    assert refreshed["session"] == session
    assert (refreshed["tokens"]["refreshToken"], refreshed["tokens"]["deviceToken"]) == (None, None)
    assert browser.cookie is not None
    assert browser.cookie != former
    # The device stays the same.
    assert browser.cookie.split(".")[1] == former.split(".")[1]


async def test_two_tabs_and_a_lost_answer_get_the_same_cookie(
    browser: Browser, ada: Person
) -> None:
    await browser.login(ada)
    tabs = [browser.other_tab() for _ in range(5)]

    await asyncio.gather(*(tab.refresh() for tab in tabs))

    assert len({tab.cookie for tab in tabs}) == 1
    assert [await tab.email() for tab in tabs] == [ada.email] * 5


async def test_a_request_that_two_others_overtake_gets_the_same_cookie(
    browser: Browser, ada: Person
) -> None:
    """As when a browser starts with several tabs: one of them already has the next cookie."""
    await browser.login(ada)
    late = browser.other_tab()
    first = browser.other_tab()
    await first.refresh()
    second = first.other_tab()

    await second.refresh()
    await late.refresh()

    assert first.cookie == second.cookie == late.cookie
    assert [await tab.email() for tab in (first, second, late)] == [ada.email] * 3


@pytest.mark.parametrize("seconds", [29, 31])
async def test_a_cookie_is_rotated_once_in_30_seconds(
    browser: Browser, ada: Person, clock: FakeClock, seconds: int
) -> None:
    await browser.login(ada)
    await browser.refresh()
    former = browser.cookie

    clock.pass_(seconds=seconds)
    await browser.refresh()

    assert (browser.cookie == former) == (seconds < 30)


async def test_a_cookie_from_another_program_is_rotated_at_once(
    browser: Browser, ada: Person
) -> None:
    await browser.login(ada)
    await browser.refresh()
    thief = browser.other_tab()
    headers = [("origin", OWN), ("cookie", f"{NAME}={thief.cookie}"), ("user-agent", "another")]

    response = await send(thief, REFRESH, headers)

    assert response.json()["data"]["result"]["__typename"] == "SignedIn"
    assert response.headers["set-cookie"].split(";")[0] != f"{NAME}={thief.cookie}"


async def test_a_copied_cookie_ends_the_session(
    browser: Browser, ada: Person, clock: FakeClock
) -> None:
    await browser.login(ada)
    thief = browser.other_tab()
    for _ in range(2):
        await browser.refresh()
        await browser.email()
        clock.pass_(minutes=1)

    answer = await thief(REFRESH)

    assert answer == {"__typename": "SessionEnded", "reason": "TOKEN_REUSED"}
    assert await browser.email() is None


async def test_a_refresh_without_a_cookie_says_that_nobody_is_signed_in(
    browser: Browser,
) -> None:
    answer = await browser(REFRESH)

    assert answer == {"__typename": "SessionEnded", "reason": "UNKNOWN_TOKEN"}
    assert browser.last_set is None


async def test_the_refresh_token_of_the_input_takes_precedence(
    browser: Browser, api: Api, ada: Person
) -> None:
    app = await api.login(ada)
    await browser.login(ada)

    refreshed = await browser(REFRESH, input={"refreshToken": app.refresh_token})

    assert refreshed["session"]["id"] == app.session_id
    assert refreshed["tokens"]["refreshToken"].startswith("prt_")
    assert browser.last_set is None


async def test_an_ended_session_leaves_only_the_device_in_the_cookie(
    browser: Browser, api: Api, ada: Person, grace: Person
) -> None:
    await browser.login(ada)
    admin = await api.login(grace)
    await admin(SUSPEND, id=ada.id)

    answer = await browser(REFRESH)

    assert answer == {"__typename": "SessionEnded", "reason": "SUSPENDED"}
    assert browser.tokens == ["pdt_"]


# ---- signing out -------------------------------------------------------------------------------


async def test_signing_out_needs_only_the_cookie(
    browser: Browser, ada: Person, db: Database
) -> None:
    session = (await browser.login(ada))["session"]
    access_token, browser.access_token = browser.access_token, None
    others = await active_sessions(db) - 1

    answer = await browser(LOGOUT)

    assert answer == {"sessionsEnded": 1, "endedSessionIds": [session["id"]]}
    assert await active_sessions(db) == others
    assert browser.tokens == ["pdt_"]
    browser.access_token = access_token
    assert await browser.email() is None


async def test_signing_out_with_an_expired_access_token_uses_the_cookie(
    browser: Browser, ada: Person, clock: FakeClock
) -> None:
    await browser.login(ada)
    clock.pass_(minutes=20)

    assert (await browser(LOGOUT))["sessionsEnded"] == 1
    assert browser.tokens == ["pdt_"]


async def test_signing_out_needs_only_an_access_token(api: Api, ada: Person) -> None:
    app = await api.login(ada)
    page = Browser(api, None, access_token=app.access_token)

    assert await page(LOGOUT) == {"sessionsEnded": 1, "endedSessionIds": [app.session_id]}


async def test_signing_out_needs_only_a_refresh_token(api: Api, ada: Person) -> None:
    app = await api.login(ada)
    page = Browser(api, None)

    answer = await page(LOGOUT, input={"refreshToken": app.refresh_token})

    assert answer == {"sessionsEnded": 1, "endedSessionIds": [app.session_id]}
    assert await app(ME) == {"me": None}


async def test_an_earlier_refresh_token_signs_out_too(
    browser: Browser, ada: Person, clock: FakeClock
) -> None:
    await browser.login(ada)
    late = browser.other_tab()
    for _ in range(3):
        await browser.refresh()
        clock.pass_(minutes=1)

    assert (await late(LOGOUT))["sessionsEnded"] == 1
    assert await browser(REFRESH) == {"__typename": "SessionEnded", "reason": "LOGGED_OUT"}


async def test_a_refresh_token_from_before_a_change_of_password_ends_nothing(
    browser: Browser, api: Api, ada: Person
) -> None:
    await browser.login(ada)
    thief = browser.other_tab()
    passwords = {"currentPassword": ada.password, "newPassword": NEW}
    changed = await browser(CHANGE, input=passwords)
    browser.access_token = changed["tokens"]["accessToken"]

    assert await thief(LOGOUT) == {"sessionsEnded": 0, "endedSessionIds": []}
    credentials = {**ada.credentials, "password": NEW, "delivery": "COOKIE"}
    replacing = Browser(api, cookie=thief.cookie)
    assert (await replacing(LOGIN, input=credentials))["__typename"] == "SignedIn"

    assert await browser.email() == ada.email


async def test_the_audit_names_the_owner_for_tokens_that_could_be_refreshed_only(
    browser: Browser, ada: Person, grace: Person, db: Database, clock: FakeClock
) -> None:
    """Anybody may have a copy of an old one, and somebody else may sign in over a session."""
    for tokens_behind in (1, 2):
        await browser.login(ada)
        copy = browser.other_tab()
        for _ in range(tokens_behind):
            clock.pass_(minutes=1)
            await browser.refresh()
        await copy(LOGOUT)
        browser.cookie = None
    await browser.login(ada)
    await browser.login(grace)

    rows = await db.rows(
        text(
            "SELECT details->>'reason', actor_id = target_id, actor_id IS NULL FROM audit_events"
            " WHERE name = 'session.ended' ORDER BY id"
        )
    )

    assert list(map(tuple, rows)) == [
        ("LOGGED_OUT", True, False),
        ("LOGGED_OUT", None, True),
        ("REVOKED", False, False),
    ]


async def test_signing_out_ends_every_session_that_the_request_has_a_token_of(
    browser: Browser, api: Api, ada: Person, grace: Person
) -> None:
    await browser.login(ada)
    other, third = await api.login(grace), await api.login(ada)
    browser.access_token = other.access_token

    answer = await browser(LOGOUT, input={"refreshToken": third.refresh_token})

    assert answer["sessionsEnded"] == 3


async def test_signing_out_twice_or_as_a_guest_ends_nothing(browser: Browser, ada: Person) -> None:
    await browser.login(ada)
    browser.access_token = None
    await browser(LOGOUT)

    assert await browser(LOGOUT) == {"sessionsEnded": 0, "endedSessionIds": []}
    assert await Browser(browser.api, None)(LOGOUT) == {"sessionsEnded": 0, "endedSessionIds": []}


async def test_an_invalid_access_token_alone_does_not_seem_to_sign_out(
    browser: Browser, ada: Person, clock: FakeClock
) -> None:
    await browser.login(ada)
    clock.pass_(minutes=20)
    browser.cookie = None

    assert await browser(LOGOUT) is None
    assert browser.code == "UNAUTHENTICATED"


@pytest.mark.parametrize("keep", [True, False])
async def test_signing_out_everywhere_forgets_the_session_unless_it_is_kept(
    browser: Browser, ada: Person, *, keep: bool
) -> None:
    await browser.login(ada)

    await browser(LOGOUT_EVERYWHERE, keep=keep)

    assert browser.tokens == (["prt_", "pdt_"] if keep else ["pdt_"])


async def test_revoking_the_current_session_forgets_it(
    browser: Browser, api: Api, ada: Person
) -> None:
    session = (await browser.login(ada))["session"]
    other = await api.login(ada)

    await browser(REVOKE, id=other.session_id)
    assert browser.last_set is None

    await browser(REVOKE, id=session["id"])
    assert browser.tokens == ["pdt_"]


async def test_a_new_sign_in_ends_the_session_that_it_replaces(
    browser: Browser, ada: Person, grace: Person, db: Database
) -> None:
    await browser.login(ada)
    before = await active_sessions(db)
    tab = browser.other_tab()

    await browser.login(grace)

    assert await active_sessions(db) == before
    assert await tab(REFRESH) == {"__typename": "SessionEnded", "reason": "REVOKED"}
    assert await browser.email() == grace.email


async def test_a_refused_sign_in_leaves_the_cookie_alone(browser: Browser, ada: Person) -> None:
    await browser.login(ada)

    wrong = {"email": ada.email, "password": "not this one", "delivery": "COOKIE"}
    assert (await browser(LOGIN, input=wrong))["__typename"] == "InvalidCredentials"

    assert browser.last_set is None
    assert (await browser.refresh())["user"] == {"email": ada.email}


async def test_a_link_opened_in_the_browser_that_registered_keeps_the_password(
    browser: Browser, ada: Person, outbox: Outbox, deliver: Deliver
) -> None:
    """The page of the link may have no access token, but it has the cookie."""
    session = (await browser.login(ada))["session"]
    await browser(REQUEST_VERIFICATION, email=ada.email)
    await deliver()
    page = browser.other_tab()

    link = {"token": outbox.token_for(ada.email), "delivery": "COOKIE"}
    signed_in = page.take(await page(VERIFY, input=link))

    assert signed_in["session"] != session
    assert await browser(REFRESH) == {"__typename": "SessionEnded", "reason": "REVOKED"}
    await page.login(ada)


# ---- passwords and deletion --------------------------------------------------------------------


async def test_a_changed_password_replaces_the_cookie(browser: Browser, ada: Person) -> None:
    await browser.login(ada)
    former = browser.cookie

    passwords = {"currentPassword": ada.password, "newPassword": NEW}
    changed = await browser(CHANGE, input=passwords)

    tokens = changed["tokens"]
    assert (tokens["refreshToken"], tokens["deviceToken"]) == (None, None)
    assert browser.cookie != former
    await browser.refresh()
    assert await browser.email() == ada.email
    browser.cookie = former
    assert await browser(REFRESH) == {"__typename": "SessionEnded", "reason": "PASSWORD_CHANGED"}


async def test_a_changed_password_leaves_the_cookie_of_another_session_alone(
    browser: Browser, api: Api, ada: Person, grace: Person
) -> None:
    await browser.login(grace)
    browser.access_token = (await api.login(ada)).access_token

    passwords = {"currentPassword": ada.password, "newPassword": NEW}
    changed = await browser(CHANGE, input=passwords)

    assert changed["tokens"]["refreshToken"].startswith("prt_")
    assert browser.last_set is None


async def test_a_reset_puts_the_device_into_the_cookie(
    browser: Browser, api: Api, ada: Person, outbox: Outbox, deliver: Deliver
) -> None:
    await browser.login(ada)
    await api(
        "mutation Ask($email: String!) { requestPasswordReset(input: {email: $email}) "
        "{ __typename } }",
        email=ada.email,
    )
    await deliver()
    link = {"token": outbox.token_for(ada.email), "newPassword": NEW, "delivery": "COOKIE"}
    former = browser.cookie

    assert await browser(RESET, input=link) == {"__typename": "UserChanged", "deviceToken": None}

    assert browser.cookie != former
    answer = await browser(REFRESH)
    assert answer == {"__typename": "SessionEnded", "reason": "PASSWORD_CHANGED"}
    assert browser.tokens == ["pdt_"]


async def test_a_deleted_account_leaves_no_cookie(browser: Browser, ada: Person) -> None:
    await browser.login(ada)

    assert await browser(DELETE, password=ada.password) == {"__typename": "AccountDeleted"}

    assert (browser.cookie, browser.last_set["max-age"]) == (None, "0")


async def test_the_device_in_the_cookie_is_not_locked_out_by_strangers(
    settings: Settings, clock: FakeClock, ada: Person
) -> None:
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    app = create_app(settings_for(url, throttle_scale=1), clock)
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        browser = Browser(guest)
        await browser.login(ada)
        await browser(LOGOUT)
        stranger = Browser(guest)
        for _ in range(15):
            await stranger(LOGIN, input={"email": ada.email, "password": "a guess"})
        locked = await stranger(LOGIN, input=ada.credentials)
        assert locked["__typename"] == "RateLimited"

        await browser.login(ada)


@pytest.fixture
async def crowded(settings: Settings, clock: FakeClock) -> AsyncIterator[Browser]:
    """Makes a browser at an address that has used up its unknown refresh tokens."""
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    app = create_app(settings_for(url, throttle_scale=1, throttle_refreshes=3), clock)
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        for number in range(4):
            await Browser(guest, OWN, unknown_token(number))(REFRESH)
        yield Browser(guest)


def unknown_token(number: int) -> str:
    return f"prt_{number:070}"


async def test_unknown_cookies_of_others_lock_no_browser_out(crowded: Browser, ada: Person) -> None:
    ended = {"__typename": "SessionEnded", "reason": "UNKNOWN_TOKEN"}
    limited = {"__typename": "RateLimited"}

    assert await Browser(crowded.api, OWN, unknown_token(9))(REFRESH) == limited
    assert await crowded(REFRESH) == ended
    await crowded.login(ada)
    await crowded.refresh()
    assert (await crowded(LOGOUT))["sessionsEnded"] == 1


async def test_a_sign_out_that_ended_a_session_is_not_refused_for_an_unknown_cookie(
    crowded: Browser, ada: Person
) -> None:
    session = (await crowded.login(ada))["session"]
    crowded.cookie = unknown_token(9)

    answer = await crowded(LOGOUT)

    assert answer == {"sessionsEnded": 1, "endedSessionIds": [session["id"]]}
    assert crowded.cookie is None


# ---- who may use the cookie --------------------------------------------------------------------


@pytest.mark.parametrize("origin", [OWN, FRONTEND])
async def test_named_origins_may_use_the_cookie(
    site: Callable[..., Browser], ada: Person, origin: str
) -> None:
    page = site(origin)
    await page.login(ada)
    await page.refresh()

    assert (await page(LOGOUT))["sessionsEnded"] == 1


@pytest.mark.parametrize(
    "origin",
    [
        STRANGER,
        PREVIEW,
        "null",
        "",
        f"{FRONTEND}.evil.example",
        "https://localhost:5173",
        "http://localhost:8443",
        f"{FRONTEND}, {STRANGER}",
    ],
)
async def test_other_origins_may_not(
    site: Callable[..., Browser], ada: Person, db: Database, origin: str
) -> None:
    owner, page = site(OWN), site(origin)
    await owner.login(ada)
    before = await active_sessions(db)

    assert await page(LOGIN, input={**ada.credentials, "delivery": "COOKIE"}) is None
    assert (page.code, page.cookie) == ("FORBIDDEN", None)
    page.cookie = owner.cookie
    assert await page(REFRESH) is None
    assert (page.code, page.last_set) == ("FORBIDDEN", None)
    assert await page(LOGOUT) is None
    assert (page.code, page.last_set) == ("FORBIDDEN", None)

    assert await active_sessions(db) == before
    await owner.refresh()


async def send(browser: Browser, query: str, headers: Any, **variables: Any) -> Any:
    """Send headers as they are."""
    body = {"query": query, "variables": variables}
    response = await browser.api.http.post("/graphql", json=body, headers=headers)
    browser.api.http.cookies.clear()
    return response


@pytest.mark.parametrize(
    ("site_of_page", "may_read"), [("same-origin", True), ("same-site", False), ("none", False)]
)
async def test_without_an_origin_the_page_has_to_be_of_the_server_itself(
    browser: Browser, ada: Person, site_of_page: str, *, may_read: bool
) -> None:
    await browser.login(ada)
    headers = {"sec-fetch-site": site_of_page, "cookie": f"{NAME}={browser.cookie}"}

    response = await send(browser, REFRESH, headers)

    assert (response.json()["data"] is not None) == may_read
    assert ("set-cookie" in response.headers) == may_read


async def test_a_page_opened_by_another_name_of_the_server_may_use_the_cookie(
    browser: Browser, ada: Person
) -> None:
    """`http://localhost:8000`, while PUBLIC_URL says 127.0.0.1."""
    headers = {"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"}
    credentials = {**ada.credentials, "delivery": "COOKIE"}

    response = await send(browser, LOGIN, headers, input=credentials)

    assert "set-cookie" in response.headers


async def test_a_page_of_another_site_is_told_that_cookies_cannot_work(
    site: Callable[..., Browser], ada: Person, db: Database
) -> None:
    before = await active_sessions(db)
    headers = {"origin": FRONTEND, "sec-fetch-site": "cross-site"}
    credentials = {**ada.credentials, "delivery": "COOKIE"}

    response = await send(site(FRONTEND), LOGIN, headers, input=credentials)

    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert "another site" in error["message"]
    assert "set-cookie" not in response.headers
    assert await active_sessions(db) == before


async def test_a_page_of_the_internet_gets_no_cookie_of_loopback(
    browser: Browser, ada: Person
) -> None:
    """PUBLIC_URL was forgotten behind a proxy: the cookie would be neither secure nor prefixed."""
    headers = {"origin": "https://id.example", "sec-fetch-site": "same-origin"}
    credentials = {**ada.credentials, "delivery": "COOKIE"}

    response = await send(browser, LOGIN, headers, input=credentials)

    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert "PUBLIC_URL" in error["message"]
    assert "set-cookie" not in response.headers


async def test_a_link_is_not_used_up_by_a_request_with_a_cookie_that_it_may_not_use(
    browser: Browser, ada: Person, outbox: Outbox, deliver: Deliver
) -> None:
    """As a guest, the owner would lose the password."""
    await browser.login(ada)
    await browser(REQUEST_VERIFICATION, email=ada.email)
    await deliver()
    link = {"token": outbox.token_for(ada.email)}
    two = f"{NAME}={browser.cookie}; {NAME}=tossed"

    response = await send(browser, VERIFY, {"origin": OWN, "cookie": two}, input=link)

    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert (await browser(VERIFY, input=link))["__typename"] == "SignedIn"
    await browser.login(ada)


async def test_programs_that_are_no_browsers_are_not_read_a_cookie(
    browser: Browser, ada: Person
) -> None:
    program = Browser(browser.api, None)
    await program.login(ada)

    assert await program(REFRESH) is None
    assert program.code == "FORBIDDEN"


async def test_two_cookies_of_the_name_are_refused(
    browser: Browser, ada: Person, grace: Person
) -> None:
    """Another host of the site may set one beside ours, where the name has no prefix."""
    other = Browser(browser.api)
    await other.login(grace)
    await browser.login(ada)
    mine, theirs = (f"{NAME}={each.cookie}" for each in (browser, other))
    for cookies in ([("cookie", f"{mine}; {theirs}")], [("cookie", theirs), ("cookie", mine)]):
        response = await send(browser, REFRESH, [("origin", OWN), *cookies])

        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] == "FORBIDDEN"
        assert "set-cookie" not in response.headers


@pytest.mark.parametrize("origin", [STRANGER, PREVIEW, "null"])
async def test_two_cookies_of_the_name_do_not_let_other_origins_sign_in(
    site: Callable[..., Browser], ada: Person, db: Database, origin: str
) -> None:
    before = await active_sessions(db)
    headers = {"origin": origin, "cookie": f"{NAME}=a; {NAME}=b"}
    credentials = {**ada.credentials, "delivery": "COOKIE"}

    response = await send(site(origin), LOGIN, headers, input=credentials)

    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert "set-cookie" not in response.headers
    assert await active_sessions(db) == before


async def test_after_two_cookies_of_the_name_one_can_still_sign_in(
    browser: Browser, ada: Person
) -> None:
    headers = {"origin": OWN, "cookie": f"{NAME}=a; {NAME}=b"}
    credentials = {**ada.credentials, "delivery": "COOKIE"}

    response = await send(browser, LOGIN, headers, input=credentials)

    assert response.json()["data"]["result"]["__typename"] == "SignedIn"
    assert "set-cookie" in response.headers


@pytest.mark.parametrize(
    "headers",
    [
        [("origin", OWN), ("origin", OWN)],
        [("origin", OWN), ("origin", STRANGER)],
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
        [("origin", STRANGER), ("sec-fetch-site", "same-origin, same-origin")],
    ],
)
async def test_what_says_where_a_page_is_from_counts_only_once(
    browser: Browser, ada: Person, headers: list[tuple[str, str]]
) -> None:
    """No browser sends it twice, so something on the way has added or joined it."""
    await browser.login(ada)
    cookie = ("cookie", f"{NAME}={browser.cookie}")

    for query, variables in (
        (REFRESH, {}),
        (LOGIN, {"input": {**ada.credentials, "delivery": "COOKIE"}}),
    ):
        response = await send(browser, query, [*headers, cookie], **variables)

        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] == "FORBIDDEN"
        assert "set-cookie" not in response.headers
    await browser.refresh()


async def test_a_page_over_http_is_told_that_browsers_keep_no_secure_cookie_for_it(
    settings: Settings, ada: Person, db: Database
) -> None:
    assert settings.database_url is not None
    url, origin = settings.database_url.get_secret_value(), "http://192.0.2.1:8000"
    before = await active_sessions(db)
    app = create_app(settings_for(url, public_url=origin))
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        credentials = {**ada.credentials, "delivery": "COOKIE"}
        response = await send(Browser(guest), LOGIN, {"origin": origin}, input=credentials)

    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert "https" in error["message"]
    assert "set-cookie" not in response.headers
    assert await active_sessions(db) == before


@pytest.mark.parametrize(
    "junk",
    [
        "pdt_" + "x" * 7000,
        "pdt_\xe4",
        "pdt_a b",
        "pdt_a, b=c",
        'pdt_"a"',
        "pdt_a=b",
        "pdt_",
        "a" * 9000,
    ],
)
async def test_only_tokens_are_put_into_the_cookie_again(
    browser: Browser, ada: Person, junk: str
) -> None:
    """A cookie that is too long would not be kept, and the next refresh token would be lost."""
    await browser.login(ada)
    refresh_token = (browser.cookie or "").split(".")[0]
    headers = [("origin", OWN), ("cookie", f"{NAME}={refresh_token}.{junk}".encode("latin-1"))]

    response = await send(browser, REFRESH, headers)

    assert response.json()["data"]["result"]["__typename"] == "SignedIn"
    value = response.headers["set-cookie"].split(";")[0].removeprefix(f"{NAME}=")
    assert re.fullmatch(r"prt_[A-Za-z0-9_-]{70}", value)


@pytest.mark.parametrize(
    "spelling",
    [
        f"{NAME.upper()}=%s",
        f"\u2000{NAME}=%s".encode(),
        f"\xa0{NAME}=%s".encode("latin-1"),
        f'$Version=1; {NAME}="%s"',
        f"={NAME}=%s",
        f"{NAME} =%s",
        f"a={NAME}=%s",
        "%%70ortico=%s",
    ],
)
async def test_only_the_exact_name_counts(
    browser: Browser, ada: Person, spelling: str | bytes
) -> None:
    await browser.login(ada)
    assert browser.cookie is not None
    raw = spelling if isinstance(spelling, bytes) else spelling.encode()

    response = await send(
        browser, REFRESH, [("origin", OWN), ("cookie", raw % browser.cookie.encode())]
    )

    ended = {"__typename": "SessionEnded", "reason": "UNKNOWN_TOKEN"}
    assert response.json()["data"] == {"result": ended}


@pytest.mark.parametrize(
    "value",
    ["", ".", "x" * 8000, "prt_" + "A" * 70, "prt_.prt_", "ä", "pdt_x", "prt_" + "." * 4000, '"'],
)
async def test_an_invalid_cookie_is_the_same_as_none(browser: Browser, value: str) -> None:
    cookie = ("cookie", f"{NAME}={value}".encode("latin-1"))

    response = await send(browser, REFRESH, [("origin", OWN), cookie])

    ended = {"__typename": "SessionEnded", "reason": "UNKNOWN_TOKEN"}
    assert response.json()["data"] == {"result": ended}


async def test_a_form_of_another_site_cannot_send_an_operation(
    browser: Browser, ada: Person
) -> None:
    """What a browser sends without asking first: forms, and `text/plain` by a script."""
    await browser.login(ada)
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers = {"cookie": f"{NAME}={browser.cookie}", "content-type": media_type}
        response = await browser.api.http.post(
            "/graphql",
            content='{"query": "mutation { logout { sessionsEnded } }"}',
            headers=headers,
        )
        assert response.status_code == 415
    response = await browser.api.http.get(
        "/graphql",
        params={"query": "mutation { logout { sessionsEnded } }"},
        headers={"cookie": f"{NAME}={browser.cookie}", "sec-fetch-site": "same-origin"},
    )
    assert response.status_code == 405
    await browser.refresh()


# ---- over the whole schema ---------------------------------------------------------------------

MUTATIONS = root_fields("mutation")


def inputs(name: str) -> set[str]:
    """Returns the fields of the input of a mutation."""
    argument = MUTATIONS[name].args.get("input")
    return set(named(argument.type).fields) if argument else set()


def members(name: str) -> set[str]:
    """Returns the types that a mutation may return."""
    result = named(MUTATIONS[name].type)
    return {each.name for each in getattr(result, "types", [result])}


DELIVERING = [name for name in MUTATIONS if "delivery" in inputs(name)]


def test_every_mutation_that_signs_in_can_deliver_by_cookie() -> None:
    signing_in = {name for name in MUTATIONS if "SignedIn" in members(name)}
    assert signing_in - set(DELIVERING) == {"refreshSession"}


@pytest.mark.parametrize("name", DELIVERING)
async def test_no_mutation_sets_the_cookie_for_a_foreign_origin(
    site: Callable[..., Browser], name: str
) -> None:
    operation = smallest("mutation", name)
    variables = {key: {**value, "delivery": "COOKIE"} for key, value in operation.variables.items()}
    page = site(STRANGER)

    await page(operation.document, **variables)

    assert (page.code, page.last_set) == ("FORBIDDEN", None)


@pytest.mark.parametrize("name", MUTATIONS)
async def test_the_cookie_gives_no_access(browser: Browser, grace: Person, name: str) -> None:
    """Only access tokens do: a mutation for members refuses a request that has just the cookie."""
    await browser.login(grace)
    browser.access_token = None
    operation = smallest("mutation", name)

    await browser(operation.document, **operation.variables)

    is_for_guests = "No sign-in needed." in MUTATIONS[name].description
    assert (browser.code == "UNAUTHENTICATED") != is_for_guests


def test_every_delivery_is_optional() -> None:
    for name in DELIVERING:
        assert "delivery" not in sample(MUTATIONS[name].args["input"].type)


async def test_a_query_never_sets_a_cookie(browser: Browser, ada: Person) -> None:
    await browser.login(ada)

    await browser.email()

    assert browser.last_set is None
