"""Refreshing and ending sessions."""

import uuid
from typing import Annotated

import strawberry
from strawberry import UNSET

from app import outcomes
from app.graphql.access import guest_field, member_field
from app.graphql.context import Info, member
from app.graphql.inputs import none_if_unset
from app.graphql.problems import NotFound, Problem, RateLimited, publish_enum
from app.sessions import limits
from app.sessions.models import EndReason
from app.sessions.schema.sign_in import SignedIn
from app.sessions.schema.types import Session
from app.sessions.services import outcomes as session_outcomes
from app.sessions.services import refresh
from app.sessions.services import sessions as service
from app.sessions.services.refresh import TokenRefresh
from app.sessions.services.sessions import Sessions
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
    UNKNOWN_TOKEN="The refresh token does not exist, or no longer does.",  # noqa: S106 - words
    type_name="SessionEndReason",
)
MESSAGES = {
    EndReason.TOKEN_REUSED: "This session was ended for safety: its token was used twice. "
    "Sign in again.",
    EndReason.SUSPENDED: "This account is suspended.",
}


@strawberry.input(description="The session to refresh.")
class RefreshSessionInput:
    refresh_token: str = strawberry.field(description="The latest refresh token.")


@strawberry.input(description="Which sessions to end.")
class LogoutEverywhereInput:
    keep_current: bool = strawberry.field(
        default=False, description="Whether to keep the current session."
    )


@strawberry.input(description="A session to end.")
class RevokeSessionInput:
    session_id: strawberry.ID = strawberry.field(description="The id of the session.")


@strawberry.type(description="Signed out: tokens of the ended sessions are no longer valid.")
class SignedOut:
    sessions_ended: int = strawberry.field(description="How many sessions ended.")
    ended_session_ids: list[strawberry.ID] = strawberry.field(
        description="The ids of these sessions."
    )

    @classmethod
    def of(cls, outcome: service.SignedOut) -> "SignedOut":
        ids = [global_id("Session", session_id) for session_id in outcome.session_ids]
        return cls(sessions_ended=len(ids), ended_session_ids=ids)


@strawberry.type(description="The session is over. Sign in again.")
class SessionEnded(Problem):
    reason: EndReason = strawberry.field(description="Why it is over.")

    def is_wrong_guess(self) -> bool:
        return self.reason is EndReason.UNKNOWN_TOKEN

    @classmethod
    def of(cls, outcome: refresh.SessionEnded) -> "SessionEnded":
        message = MESSAGES.get(outcome.reason, "This session has ended. Sign in again.")
        return cls(message=message, reason=outcome.reason)


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
        description="Refresh a session: new tokens for the latest refresh token. Repeated within "
        "30 seconds, or after a lost answer, it returns the same refresh token again.",
        limited_as=limits.REFRESH,
    )
    async def refresh_session(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            RefreshSessionInput, strawberry.argument(description="The session.")
        ],
    ) -> RefreshSessionResult:
        context = info.context
        match await context.services[TokenRefresh].refresh(input.refresh_token, context.client):
            case session_outcomes.SignedIn() as signed_in:
                return SignedIn.of(signed_in, info)
            case refresh.SessionEnded() as ended:
                return SessionEnded.of(ended)

    @member_field(description="End the current session.")
    async def logout(self, info: Info) -> SignedOut | None:
        context = info.context
        ended = await context.services[Sessions].logout(member(info), context.client)
        return SignedOut.of(ended)

    @member_field(description="End all sessions of the current user, on every device.")
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
        return SignedOut.of(ended)

    @member_field(
        description="End one session by its id. Members can end their own, administrators any."
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
                return SignedOut.of(ended)
            case outcomes.NotFound():
                return NotFound.make()


async def session_by_id(info: Info, session_id: uuid.UUID) -> Session | None:
    viewer = member(info)
    row = await info.context.services[Sessions].by_id(viewer, session_id)
    return Session(row=row, is_viewer_session=session_id == viewer.session_id) if row else None
