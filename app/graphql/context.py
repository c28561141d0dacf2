"""What a resolver may reach: the services, the caller, and where the request came from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import strawberry
from graphql import get_named_type

from app.accounts.services.email_addresses import Emails
from app.accounts.services.passwords import PasswordChanges
from app.accounts.services.personal_data import PersonalData
from app.accounts.services.profile import Profiles
from app.accounts.services.registration import Accounts
from app.accounts.services.server_facts import ServerFacts
from app.audit.services.reading import AuditEvents
from app.engine.plans.selections import names_below
from app.errors import Forbidden, Unauthenticated
from app.graphql.batching import Batches
from app.keys.services.fleet_secrets import FleetSecrets
from app.people.services.administration import Administration
from app.people.services.users import Users
from app.security.access_tokens import AccessTokens
from app.security.client import Client
from app.security.cursor_ciphers import CursorCiphers
from app.sessions.services.refresh import Rotation
from app.sessions.services.sessions import Sessions
from app.sessions.services.sign_in import SignIn
from app.sessions.services.viewers import Viewers
from app.throttle.services.throttle import Throttle
from app.users.services.viewer import Admin, Viewer

SIGN_IN = "Sign in first: send an access token as `Authorization: Bearer …`."
SIGN_IN_AGAIN = (
    "The access token is not valid, has expired, or its session has ended. Sign in again."
)
ADMINISTRATORS_ONLY = "Only administrators may do this."


@dataclass(frozen=True, slots=True)
class Services:
    """Built once, in main."""

    accounts: Accounts
    administration: Administration
    audit_events: AuditEvents
    emails: Emails
    password_changes: PasswordChanges
    personal_data: PersonalData
    profiles: Profiles
    sign_in: SignIn
    rotation: Rotation
    sessions: Sessions
    throttle: Throttle
    users: Users
    viewers: Viewers
    access_tokens: AccessTokens
    cursor_ciphers: CursorCiphers
    server_facts: ServerFacts
    fleet_secrets: FleetSecrets
    clock: Callable[[], datetime]


@dataclass(slots=True)
class Context:
    """One request. `viewer` is whom its token stood for when that was last asked."""

    services: Services
    client: Client
    bearer: str | None = None
    viewer: Viewer | None = None
    # The problem that a mutation ended with, by its name, for the log.
    problem: str | None = None
    batches: Batches = field(default_factory=Batches)

    async def identify(self) -> Viewer | None:
        """Ask who calls, now. None for a guest.

        Raises:
            Unauthenticated: there is a token, but it opens nothing (any more).

        """
        if self.bearer is None:
            return None
        tokens = self.services.access_tokens
        claims = tokens.recall(self.bearer) or await tokens.verify(self.bearer)
        # Root fields of a query ask at once, and what is below one reads this while another asks:
        # it changes only from one answer to the next.
        self.viewer = await self.services.viewers.find(claims) if claims else None
        if self.viewer is None:
            raise Unauthenticated(SIGN_IN_AGAIN)
        return self.viewer

    async def identify_if_valid(self) -> Viewer | None:
        """Ask who calls; a token that is not valid is as good as none."""
        try:
            return await self.identify()
        except Unauthenticated:
            return None

    async def identify_member(self) -> Viewer:
        viewer = await self.identify()
        if viewer is None:
            raise Unauthenticated(SIGN_IN)
        return viewer

    async def identify_admin(self) -> Admin:
        return _admin(await self.identify_member())


@dataclass
class Info(strawberry.Info[Context, None]):
    """As Strawberry has it, and what is asked for below a field."""

    # A plan knows it beforehand.
    known_below: frozenset[str] | None = None

    def may_answer(self, type_name: str) -> bool:
        """Whether the type is a member of the union that this field answers."""
        kind = cast("Any", get_named_type)(self._raw.return_type)
        members: list[Any] = getattr(kind, "types", [])
        return any(member.name == type_name for member in members)

    @property
    def _raw(self) -> Any:
        # Typed, it has a generic without its parameter; there is no public name.
        return cast("Any", self)._raw_info  # noqa: SLF001 - its own

    @property
    def names_below(self) -> frozenset[str]:
        """The names of all fields below this one, however deep."""
        if self.known_below is not None:
            return self.known_below
        return names_below(self._raw.field_nodes, self._raw.fragments)


def member(info: Info) -> Viewer:
    """Give whom the `@access(level: MEMBER)` of this root field let through."""
    if info.context.viewer is None:
        raise Unauthenticated(SIGN_IN)
    return info.context.viewer


def admin(info: Info) -> Admin:
    """Give whom the `@access(level: ADMIN)` of this root field let through."""
    return _admin(member(info))


def _admin(viewer: Viewer) -> Admin:
    narrowed = viewer.as_admin()
    if narrowed is None:
        raise Forbidden(ADMINISTRATORS_ONLY)
    return narrowed
