"""`stepUp`: the user of a session proves again who they are."""

from typing import Annotated

import strawberry
from strawberry import UNSET

from app import outcomes
from app.factors import limits
from app.factors.schema.challenges import TOTP, InvalidCode
from app.factors.schema.passkey_types import PasskeyAnswer, PasskeyRefused
from app.factors.services import answers, passkey_proofs
from app.factors.services import step_up as service
from app.factors.services.step_up import StepUp
from app.graphql.access import member_field
from app.graphql.context import Info, member
from app.graphql.problems import RateLimited
from app.sessions.schema.sign_in import InvalidCredentials
from app.sessions.schema.types import Session


@strawberry.input(one_of=True, description="A proof of who the user is, in one of these ways.")
class StepUpAnswer:
    password: str | None = strawberry.field(
        default=UNSET, description="The password: enough only without a second factor."
    )
    totp: str | None = strawberry.field(default=UNSET, description=TOTP)
    passkey: PasskeyAnswer | None = strawberry.field(
        default=UNSET, description="A passkey, after `beginPasskeyStepUp`."
    )


@strawberry.input(description="A proof of who the user is.")
class StepUpInput:
    answer: StepUpAnswer = strawberry.field(description="The proof.")


@strawberry.type(description="The session is fresh: send the refused request again.")
class SteppedUp:
    session: Session = strawberry.field(
        description="The current session. Its access token has the new `auth_time` after the next "
        "`refreshSession`; Portico itself does not need that."
    )


StepUpResult = Annotated[
    SteppedUp | InvalidCredentials | InvalidCode | PasskeyRefused | RateLimited,
    strawberry.union("StepUpResult", description="The outcomes of stepping up."),
]


@strawberry.type
class StepUpMutations:
    @member_field(
        description="Prove again who the current user is, after `STEP_UP_REQUIRED`, with one of "
        "the methods in the error. Moves `Session.authenticatedAt`. After ten "
        "wrong codes in a row the session ends. Repeated with the same code "
        "within 30 seconds, it returns the same.",
        limited_as=limits.PROOF,
        without_factor=True,
    )
    async def step_up(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            StepUpInput, strawberry.argument(description="The proof.")
        ],
    ) -> StepUpResult | None:
        match await _outcome(info, input.answer):
            case service.SteppedUp() as done:
                return SteppedUp(session=Session(row=done.session, is_viewer_session=True))
            case outcomes.InvalidCredentials():
                return InvalidCredentials.of_password()
            case answers.InvalidCode():
                return InvalidCode.of_step_up()
            case passkey_proofs.PasskeyRefused() as refused:
                return PasskeyRefused.of(refused)
            case service.FactorNeeded():
                return InvalidCode.needed()


async def _outcome(
    info: Info, given: StepUpAnswer
) -> (
    service.SteppedUp
    | outcomes.InvalidCredentials
    | answers.InvalidCode
    | passkey_proofs.PasskeyRefused
    | service.FactorNeeded
):
    context, viewer = info.context, member(info)
    step_up = context.services[StepUp]
    if isinstance(given.password, str):
        return await step_up.by_password(viewer, given.password, context.client)
    if isinstance(given.passkey, PasskeyAnswer):
        return await step_up.by_passkey(viewer, given.passkey.read(), context.client)
    return await step_up.by_totp(viewer, given.totp or "", context.client)
