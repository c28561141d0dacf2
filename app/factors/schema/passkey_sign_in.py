"""Signing in with a passkey, and options for challenges and step-up."""

from typing import Annotated

import strawberry

from app.factors import limits
from app.factors.schema.challenges import ChallengeExpired
from app.factors.schema.passkey_types import (
    CEREMONY,
    CREDENTIAL,
    PasskeyAnswer,
    PasskeyOptions,
    PasskeyRefused,
)
from app.factors.services import challenge_answers, passkey_proofs, passkey_requests
from app.factors.services.passkey_requests import PasskeyRequests
from app.factors.services.passkey_sign_in import PasskeySignIn
from app.graphql.access import guest_field, member_field
from app.graphql.context import Info, member
from app.graphql.problems import RateLimited
from app.graphql.scalars import JSON
from app.sessions.schema.delivery import TokenDelivery, cookie_for, delivery_field
from app.sessions.schema.sign_in import SignedIn, signed_in
from app.sessions.services import outcomes as session_outcomes


@strawberry.input(description="A passkey to sign in with.")
class SignInWithPasskeyInput:
    ceremony: str = strawberry.field(description=CEREMONY)
    credential: JSON = strawberry.field(description=CREDENTIAL)
    delivery: TokenDelivery = delivery_field()


@strawberry.input(description="A challenge to answer with a passkey.")
class BeginPasskeyChallengeInput:
    token: str = strawberry.field(description="The `token` of the challenge.")


SignInWithPasskeyResult = Annotated[
    SignedIn | PasskeyRefused | RateLimited,
    strawberry.union(
        "SignInWithPasskeyResult", description="The outcomes of signing in with a passkey."
    ),
]
BeginPasskeyChallengeResult = Annotated[
    PasskeyOptions | ChallengeExpired | RateLimited,
    strawberry.union(
        "BeginPasskeyChallengeResult",
        description="The outcomes of asking for a passkey that answers a challenge.",
    ),
]


@strawberry.type
class PasskeySignInMutations:
    @guest_field(
        description="Begin to sign in with a passkey: returns what to ask the browser for. It "
        "needs no address and names no account, so it can be called when the page opens, for the "
        "browser's autofill.",
    )
    async def begin_passkey_sign_in(self, info: Info) -> PasskeyOptions:
        return PasskeyOptions.of(info.context.services[PasskeyRequests].for_sign_in())

    @guest_field(
        description="Sign in with a passkey. It verifies the person too, so no challenge follows. "
        "After a reset of the password each passkey is refused, with a message that says so, until "
        "it has completed a sign-in with the new password. "
        "Repeated by the same client (address and user agent) with the same answer, within 30 "
        "seconds or while the session is unused, it returns the same session.",
        limited_as=limits.PASSKEY,
    )
    async def sign_in_with_passkey(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            SignInWithPasskeyInput, strawberry.argument(description="The passkey.")
        ],
    ) -> SignInWithPasskeyResult:
        context, cookie = info.context, cookie_for(info, input.delivery)
        answer = PasskeyAnswer(ceremony=input.ceremony, credential=input.credential).read()
        match await context.services[PasskeySignIn].sign_in(answer, context.client):
            case session_outcomes.SignedIn() as outcome:
                return await signed_in(outcome, info, cookie)
            case passkey_proofs.PasskeyRefused() as refused:
                return PasskeyRefused.of(refused)

    @guest_field(
        description="Begin to answer a challenge with a passkey: returns what to ask the browser "
        "for. Then call `answerChallenge`.",
        limited_as=limits.CHALLENGE,
    )
    async def begin_passkey_challenge(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - as in all mutations
            BeginPasskeyChallengeInput, strawberry.argument(description="The challenge.")
        ],
    ) -> BeginPasskeyChallengeResult:
        requests = info.context.services[PasskeyRequests]
        match await requests.for_challenge(input.token):
            case passkey_requests.PasskeyOptions() as options:
                return PasskeyOptions.of(options)
            case challenge_answers.ChallengeExpired() as expired:
                return ChallengeExpired.of(expired)

    @member_field(
        description="Begin to step up with a passkey: returns what to ask the browser for. Then "
        "call `stepUp`.",
        without_factor=True,
    )
    async def begin_passkey_step_up(self, info: Info) -> PasskeyOptions | None:
        options = await info.context.services[PasskeyRequests].for_step_up(member(info))
        return PasskeyOptions.of(options)
