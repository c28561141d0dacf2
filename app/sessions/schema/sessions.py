"""Refreshing and ending sessions."""

import uuid
from typing import Annotated

import strawberry
from strawberry import UNSET

from app import outcomes
from app.errors import Unauthenticated
from app.graphql.access import guest_field, member_field
from app.graphql.context import SIGN_IN_AGAIN, Context, Info, member
from app.graphql.inputs import none_if_unset
from app.graphql.problems import MaybeGuess, NotFound, Problem, RateLimited, publish_enum
from app.sessions import limits
from app.sessions.models import EndReason
from app.sessions.schema.delivery import forget_ended
from app.sessions.schema.sign_in import SignedIn
from app.sessions.schema.types import Session
from app.sessions.services import outcomes as session_outcomes
from app.sessions.services import refresh
from app.sessions.services import sessions as service
from app.sessions.services.refresh import TokenRefresh
from app.sessions.services.sessions import Sessions
from app.sessions.services.sign_out import SignOut
from app.text.global_ids import global_id, read_id_of

publish_enum(
    EndReason,
    "Why a session is over.",
    EXPIRED="It expired.",
    LOGGED_OUT="Its owner signed out.",
    REVOKED="Its owner ended it from another session or an administrator ended it, newer "
    "sessions replaced it, the server requires verified addresses now, or SECRET_KEY leaked.",
    TOKEN_REUSED="A refresh token was used a second time: it was copied.",  # noqa: S106 - words
    PASSWORD_CHANGED="The password was changed.",  # noqa: S106 - words
    SUSPENDED="The account is suspended.",
    UNKNOWN_TOKEN="The refresh token does not exist, or no longer does; or there is none.",  # noqa: S106 - words
    type_name="SessionEndReason",
)
MESSAGES = {
    EndReason.TOKEN_REUSED: "This session was ended for safety: its token was used twice. "
    "Sign in again.",
    EndReason.SUSPENDED: "This account is suspended.",
}


@strawberry.input(description="The session to refresh.")
class RefreshSessionInput:
    refresh_token: str | None = strawberry.field(
        default=UNSET, description="The latest refresh token. If omitted, the one in the cookie."
    )


@strawberry.input(description="A session to sign out of.")
class LogoutInput:
    refresh_token: str | None = strawberry.field(
        default=UNSET,
        description="A refresh token of the session, its latest or an earlier one, but none from "
        "before its password was changed.",
    )


@strawberry.input(description="Which sessions to end.")
class LogoutEverywhereInput:
    keep_current: bool = strawberry.field(
        default=False, description="Whether to keep the current session."
    )


@strawberry.input(description="A session to end.")
class RevokeSessionInput:
    session_id: strawberry.ID = strawberry.field(description="The id of the session.")


@strawberry.type(description="Signed out: tokens of the ended sessions are no longer valid.")
class SignedOut(MaybeGuess):
    has_unknown_token: strawberry.Private[bool]
    sessions_ended: int = strawberry.field(description="How many sessions ended.")
    ended_session_ids: list[strawberry.ID] = strawberry.field(
        description="The ids of these sessions."
    )

    def is_wrong_guess(self) -> bool:
        # A sign-out that ended a session has happened, so it must not be refused afterwards. Each
        # costs those who guess a session of their own.
        return self.has_unknown_token and self.sessions_ended == 0

    @classmethod
    def of(cls, outcome: service.SignedOut, info: Info) -> "SignedOut":
        forget_ended(info, outcome.session_ids)
        ids = [global_id("Session", session_id) for session_id in outcome.session_ids]
        return cls(
            has_unknown_token=outcome.has_unknown_token,
            sessions_ended=len(ids),
            ended_session_ids=ids,
        )


@strawberry.type(description="The session is over. Sign in again.")
class SessionEnded(Problem):
    had_token: strawberry.Private[bool]
    reason: EndReason = strawberry.field(description="Why it is over.")

    def is_wrong_guess(self) -> bool:
        return self.had_token and self.reason is EndReason.UNKNOWN_TOKEN

    @classmethod
    def of(cls, outcome: refresh.SessionEnded) -> "SessionEnded":
        message = MESSAGES.get(outcome.reason, "This session has ended. Sign in again.")
        return cls(message=message, had_token=True, reason=outcome.reason)

    @classmethod
    def without_cookie(cls) -> "SessionEnded":
        """Returns the answer to a browser in which nobody is signed in."""
        reason = EndReason.UNKNOWN_TOKEN
        return cls(message="Nobody is signed in here.", had_token=False, reason=reason)


RefreshSessionResult = Annotated[
    SignedIn | SessionEnded | RateLimited,
    strawberry.union("RefreshSessionResult", description="The outcomes of a refresh."),
]
RevokeSessionResult = Annotated[
    SignedOut | NotFound,
    strawberry.union("RevokeSessionResult", description="The outcomes of ending one session."),
]


@strawberry.type
class SessionMutations:
    @guest_field(
        description="Refresh a session: new tokens for the latest refresh token, which comes in "
        "the input or in the cookie, as the next one does. Repeated within 30 seconds, or after a "
        "lost answer, it returns the same refresh token again.",
        limited_as=limits.REFRESH,
    )
    async def refresh_session(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            RefreshSessionInput, strawberry.argument(description="The session.")
        ],
    ) -> RefreshSessionResult:
        context, cookie = info.context, None
        token = none_if_unset(input.refresh_token)
        if token is None:
            cookie = context.cookie
            cookie.check_may_read()
            token = cookie.refresh_token
        if token is None:
            return SessionEnded.without_cookie()
        token_refresh = context.services[TokenRefresh]
        once = cookie is not None
        match await token_refresh.refresh(token, context.client, once_in_grace=once):
            case session_outcomes.SignedIn() as signed_in:
                return SignedIn.of(signed_in, info, cookie)
            case refresh.SessionEnded() as ended:
                if cookie is not None:
                    cookie.forget_session()
                return SessionEnded.of(ended)

    @guest_field(
        description="Sign out: end the current session, by its access token, by a refresh token, "
        "or by the cookie, whichever are sent. The cookie keeps the device token only. Without "
        "any of them nothing ends.",
        limited_as=limits.REFRESH,
    )
    async def logout(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            LogoutInput | None,
            strawberry.argument(description="Needed only to send a refresh token."),
        ] = UNSET,
    ) -> SignedOut | None:
        context, which = info.context, none_if_unset(input)
        viewer, cookie = await context.identify_if_valid(), context.cookie
        sent = (none_if_unset(which.refresh_token) if which else None, cookie.refresh_token)
        tokens = [token for token in sent if token is not None]
        if viewer is None and not tokens:
            _refuse_unusable(context)
        ended = await context.services[SignOut].of_all(viewer, tokens, context.client)
        cookie.forget_session()
        return SignedOut.of(ended, info)

    @member_field(
        description="End all sessions of the current user, on every device.", without_factor=True
    )
    async def logout_everywhere(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            LogoutEverywhereInput | None,
            strawberry.argument(description="If omitted, all sessions end."),
        ] = UNSET,
    ) -> SignedOut | None:
        context, which = info.context, none_if_unset(input)
        ended = await context.services[Sessions].logout_everywhere(
            member(info), context.client, keep_current=which is not None and which.keep_current
        )
        return SignedOut.of(ended, info)

    @member_field(
        description="End one session by its id. Members can end their own, administrators any: "
        "that of another user within 10 minutes of a sign-in or `stepUp`."
    )
    async def revoke_session(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            RevokeSessionInput, strawberry.argument(description="The session to end.")
        ],
    ) -> RevokeSessionResult | None:
        context = info.context
        session_id = read_id_of("Session", input.session_id, "input.sessionId")
        match await context.services[Sessions].revoke(member(info), session_id, context.client):
            case service.SignedOut() as ended:
                return SignedOut.of(ended, info)
            case outcomes.NotFound():
                return NotFound.make()


def _refuse_unusable(context: Context) -> None:
    """Refuse a sign-out that has only a token or cookie that is not accepted.

    Its session would go on.

    Raises:
        Unauthenticated: the access token is invalid.
        Forbidden: the origin may not use the cookie.

    """
    context.cookie.check_may_read()
    if context.bearer is not None:
        raise Unauthenticated(SIGN_IN_AGAIN)


async def session_by_id(info: Info, session_id: uuid.UUID) -> Session | None:
    viewer = member(info)
    row = await info.context.services[Sessions].by_id(viewer, session_id)
    return Session(row=row, is_viewer_session=session_id == viewer.session_id) if row else None
