"""What a resolver may reach: the services, the caller, and where the request came from."""

import uuid
from dataclasses import dataclass, field
from typing import Any, cast

from graphql import get_named_type

from app.clock import Clock
from app.container import Container
from app.engine.context import FieldInfo, Requester
from app.errors import Forbidden, Unauthenticated
from app.graphql.batching import Batches
from app.security.access_tokens import AccessTokens
from app.security.client import Client
from app.sessions.services.viewers import Viewers
from app.users.services.viewer import Admin, Viewer

SIGN_IN = "Sign in first: send an access token as `Authorization: Bearer …`."
SIGN_IN_AGAIN = (
    "The access token is not valid, has expired, or its session has ended. Sign in again."
)
ADMINISTRATORS_ONLY = "Only administrators may do this."


@dataclass(slots=True)
class Context:
    """One request. `viewer` is whom its token stood for when that was last asked."""

    services: Container
    clock: Clock
    client: Client
    bearer: str | None = None
    viewer: Viewer | None = None
    # The problem that a mutation ended with, by its name, for the log.
    problem: str | None = None
    batches: Batches = field(default_factory=Batches)

    @property
    def user_id(self) -> uuid.UUID | None:
        """Whom the access log names."""
        return self.viewer.user.id if self.viewer else None

    @property
    def request_id(self) -> str | None:
        return self.client.request_id

    @property
    def requester(self) -> Requester:
        """The user whose token was verified before, or an address."""
        claims = self.services[AccessTokens].recall(self.bearer) if self.bearer else None
        if claims is None:
            return Requester(self.client.block)
        return Requester(str(claims.user_id), is_known=True)

    async def identify(self) -> Viewer | None:
        """Ask who calls, now. None for a guest.

        Raises:
            Unauthenticated: there is a token, but it opens nothing (any more).

        """
        if self.bearer is None:
            return None
        tokens = self.services[AccessTokens]
        claims = tokens.recall(self.bearer) or await tokens.verify(self.bearer)
        # Root fields of a query ask at once, and what is below one reads this while another asks:
        # it changes only from one answer to the next.
        self.viewer = await self.services[Viewers].find(claims) if claims else None
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
class Info(FieldInfo[Context, None]):
    """What a resolver is given of its request and its field."""

    def may_answer(self, type_name: str) -> bool:
        """Whether the type is a member of the union that this field answers."""
        kind = cast("Any", get_named_type)(self.raw.return_type)
        members: list[Any] = getattr(kind, "types", [])
        return any(member.name == type_name for member in members)


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
