"""The context of resolvers: the services, the caller and the client of a request."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from graphql import get_named_type

from app.clock import Clock
from app.container import Container
from app.engine.context import FieldInfo, Requester
from app.errors import Forbidden, Unauthenticated
from app.graphql.batching import Batches
from app.security.access_tokens import AccessTokens
from app.security.client import Client
from app.security.session_cookie import SessionCookie
from app.sessions.services.viewers import Viewers
from app.users.services.viewer import Admin, Viewer

SIGN_IN = "Sign in first: send an access token as `Authorization: Bearer …`."
SIGN_IN_AGAIN = (
    "The access token is not valid, has expired, or its session has ended. Sign in again."
)
ADMINISTRATORS_ONLY = "Only administrators may do this."


class Head(Protocol):
    """The head of a request, which is read for the fields that need it: few queries do."""

    def client(self) -> Client: ...
    def cookie(self) -> SessionCookie: ...


@dataclass(slots=True)
class Context:
    """One request. `viewer` is the user of its token, as of when the session was last read."""

    services: Container
    clock: Clock
    # Makes the head when it is first needed.
    read_head: Callable[[], Head]
    bearer: str | None = None
    viewer: Viewer | None = None
    # The type of the problem that a mutation returned, for the access log.
    problem: str | None = None
    batches: Batches = field(default_factory=Batches)
    _head: Head | None = None
    _client: Client | None = None
    _cookie: SessionCookie | None = None

    @property
    def head(self) -> Head:
        if self._head is None:
            self._head = self.read_head()
        return self._head

    @property
    def client(self) -> Client:
        """Who sent the request, as far as it is known."""
        if self._client is None:
            self._client = self.head.client()
            if self._client.device_token is None and self.cookie.device_token is not None:
                self._client = self._client._replace(device_token=self.cookie.device_token)
        return self._client

    @property
    def cookie(self) -> SessionCookie:
        """The session cookie. Fields use its refresh token only to sign in, refresh or sign out.

        Its device token is read as that of the header `Portico-Device` is.
        """
        if self._cookie is None:
            self._cookie = self.head.cookie()
        return self._cookie

    @property
    def changed_cookie(self) -> SessionCookie | None:
        """The session cookie if the answer has to set it."""
        return self._cookie if self._cookie is not None and self._cookie.has_changed else None

    @property
    def user_id(self) -> uuid.UUID | None:
        """The user in the access log."""
        return self.viewer.user.id if self.viewer else None

    @property
    def request_id(self) -> str | None:
        return self.client.request_id

    @property
    def requester(self) -> Requester:
        """The user, if the token was verified before; otherwise the address block of the client."""
        claims = self.services[AccessTokens].cached_claims(self.bearer) if self.bearer else None
        if claims is None:
            return Requester(self.client.block)
        return Requester(str(claims.user_id), is_known=True)

    async def identify(self) -> Viewer | None:
        """Read who is calling; None for a guest.

        Raises:
            Unauthenticated: the token is invalid, or its session has ended.

        """
        if self.bearer is None:
            return None
        tokens = self.services[AccessTokens]
        claims = tokens.cached_claims(self.bearer) or await tokens.verify(self.bearer)
        # Root fields of a query run concurrently: fields below one read `viewer` while another one
        # waits here, so it is replaced, and never reset before.
        self.viewer = await self.services[Viewers].find(claims) if claims else None
        if self.viewer is None:
            raise Unauthenticated(SIGN_IN_AGAIN)
        return self.viewer

    async def identify_if_valid(self) -> Viewer | None:
        """Read who is calling; an invalid token counts as none."""
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
    """The request and the field of a resolver."""

    def may_answer(self, type_name: str) -> bool:
        """Whether the type is a member of the union that this field returns."""
        kind = cast("Any", get_named_type)(self.raw.return_type)
        members: list[Any] = getattr(kind, "types", [])
        return any(member.name == type_name for member in members)


def member(info: Info) -> Viewer:
    """Returns the user that `@access(level: MEMBER)` of this root field has admitted."""
    if info.context.viewer is None:
        raise Unauthenticated(SIGN_IN)
    return info.context.viewer


def admin(info: Info) -> Admin:
    """Returns the user that `@access(level: ADMIN)` of this root field has admitted."""
    return _admin(member(info))


def _admin(viewer: Viewer) -> Admin:
    narrowed = viewer.as_admin()
    if narrowed is None:
        raise Forbidden(ADMINISTRATORS_ONLY)
    return narrowed
