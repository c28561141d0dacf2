"""Where the refresh and the device token of a session go: into the answer, or into the cookie."""

import uuid
from collections.abc import Iterable
from enum import Enum
from typing import Any

import strawberry

from app.graphql.context import Context, Info
from app.security.refresh_tokens import RefreshTokens
from app.security.session_cookie import SessionCookie
from app.sessions.services.refresh import TokenRefresh
from app.users.services.viewer import Viewer


@strawberry.enum(description="Where the refresh token and the device token go.")
class TokenDelivery(Enum):
    BODY = strawberry.enum_value(
        "BODY", description="Into the answer. For apps that are not web pages, and for servers."
    )
    COOKIE = strawberry.enum_value(
        "COOKIE",
        description="Into a cookie that no script can read (HttpOnly, SameSite=Lax). For pages of "
        "the same site as this server whose origin is this server's own or named in CORS_ORIGINS; "
        "others get FORBIDDEN.",
    )


def delivery_field() -> Any:
    """Declare the field `delivery` of an input."""
    return strawberry.field(
        default=TokenDelivery.BODY, description="Where the refresh and the device token go."
    )


def cookie_for(info: Info, delivery: TokenDelivery) -> SessionCookie | None:
    """Returns the cookie to store the tokens in; None if they go into the answer.

    Call it before the work: a request whose answer may not set the cookie is refused.

    Raises:
        Forbidden: the origin of the page may not use the cookie.

    """
    if delivery is TokenDelivery.BODY:
        return None
    cookie = info.context.cookie
    cookie.check_may_set()
    return cookie


def cookie_of_session(info: Info, session_id: uuid.UUID) -> SessionCookie | None:
    """Returns the cookie of the request if it holds this session; None if not."""
    context = info.context
    return context.cookie if _session_in(context) == session_id else None


async def viewer_of_request(info: Info) -> Viewer | None:
    """Returns the user of the access token or, without a valid one, of the cookie.

    Raises:
        Forbidden: the request has a cookie that it may not use, and nothing else.

    """
    context = info.context
    viewer = await context.identify_if_valid()
    if viewer is not None:
        return viewer
    context.cookie.check_may_read()
    token = context.cookie.refresh_token
    if token is None:
        return None
    return await context.services[TokenRefresh].viewer_of(token)


def forget_ended(info: Info, ended: Iterable[uuid.UUID]) -> None:
    """Remove the refresh token from the cookie if its session is among those that ended."""
    context = info.context
    if _session_in(context) in set(ended):
        context.cookie.forget_session()


def _session_in(context: Context) -> uuid.UUID | None:
    token = context.cookie.refresh_token
    presented = context.services[RefreshTokens].read(token) if token else None
    return presented.session_id if presented else None
