"""The second step of a sign-in: `answerChallenge`."""

from typing import Annotated

import strawberry
from strawberry import UNSET

from app.factors import limits
from app.factors.schema.passkey_types import PasskeyAnswer, PasskeyRefused
from app.factors.services import answers, challenge_answers, passkey_proofs
from app.factors.services.answers import Answer
from app.factors.services.challenge_answers import ChallengeAnswers
from app.graphql.access import guest_field
from app.graphql.context import Info
from app.graphql.problems import Problem, RateLimited
from app.sessions.models import AuthenticationMethod
from app.sessions.schema.delivery import TokenDelivery, cookie_for, delivery_field
from app.sessions.schema.sign_in import SignedIn, signed_in
from app.sessions.services import outcomes as session_outcomes

TOTP = "The code that the authenticator app shows now: 6 digits, with or without spaces."
RECOVERY_CODE = "One of the recovery codes, in any spelling. It works once."


@strawberry.input(one_of=True, description="The answer to a challenge, in one of these ways.")
class ChallengeAnswer:
    totp: str | None = strawberry.field(default=UNSET, description=TOTP)
    recovery_code: str | None = strawberry.field(default=UNSET, description=RECOVERY_CODE)
    passkey: PasskeyAnswer | None = strawberry.field(
        default=UNSET, description="A passkey, after `beginPasskeyChallenge`."
    )


@strawberry.input(description="A challenge and its answer.")
class AnswerChallengeInput:
    token: str = strawberry.field(description="The `token` of the challenge.")
    answer: ChallengeAnswer = strawberry.field(description="The answer.")
    delivery: TokenDelivery = delivery_field()


@strawberry.type(
    description="The code is wrong, was used before, or belongs to a factor that the user does not "
    "have."
)
class InvalidCode(Problem):
    was_tried: strawberry.Private[bool] = True

    def is_wrong_guess(self) -> bool:
        return self.was_tried

    @classmethod
    def make(cls) -> "InvalidCode":
        return cls(
            message="This code is wrong or was used before. Wait for the next one, or use a "
            "recovery code."
        )

    @classmethod
    def of_step_up(cls) -> "InvalidCode":
        return cls(message="This code is wrong or was used before. Wait for the next one.")

    @classmethod
    def of_enrollment(cls) -> "InvalidCode":
        return cls(
            message="This code is wrong. Scan the latest QR code, and enter what the app shows now."
        )

    @classmethod
    def needed(cls) -> "InvalidCode":
        """Returns the answer to a password where only a second factor does."""
        message = "Your account has a second factor: confirm with it."
        return cls(message=message, was_tried=False)


@strawberry.type(
    description="The challenge, or the enrollment, is unknown, used or expired: start again."
)
class ChallengeExpired(Problem):
    is_known: strawberry.Private[bool]

    def is_wrong_guess(self) -> bool:
        return not self.is_known

    @classmethod
    def of(cls, outcome: challenge_answers.ChallengeExpired) -> "ChallengeExpired":
        message = "This took too long, or was completed elsewhere. Start again."
        return cls(message=message, is_known=outcome.is_known)


AnswerChallengeResult = Annotated[
    SignedIn | InvalidCode | PasskeyRefused | ChallengeExpired | RateLimited,
    strawberry.union("AnswerChallengeResult", description="The outcomes of answering a challenge."),
]


@strawberry.type
class ChallengeMutations:
    @guest_field(
        description="Complete a sign-in with a second factor. Wrong codes are counted for the "
        "account, whatever challenge they answer; they do not use up the challenge. Repeated by "
        "the same client (address and user agent) with the same answer, within 30 seconds or while "
        "the session is unused, it returns the same session.",
        limited_as=limits.CHALLENGE,
    )
    async def answer_challenge(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            AnswerChallengeInput, strawberry.argument(description="The challenge and its answer.")
        ],
    ) -> AnswerChallengeResult:
        context, cookie = info.context, cookie_for(info, input.delivery)
        match await context.services[ChallengeAnswers].answer(
            input.token, _answer(input.answer), context.client
        ):
            case session_outcomes.SignedIn() as outcome:
                return await signed_in(outcome, info, cookie)
            case answers.InvalidCode():
                return InvalidCode.make()
            case passkey_proofs.PasskeyRefused() as refused:
                return PasskeyRefused.of(refused)
            case challenge_answers.ChallengeExpired() as expired:
                return ChallengeExpired.of(expired)


def _answer(given: ChallengeAnswer) -> Answer:
    if isinstance(given.passkey, PasskeyAnswer):
        return Answer(AuthenticationMethod.PASSKEY, given.passkey.read())
    if isinstance(given.totp, str):
        return Answer(AuthenticationMethod.TOTP, given.totp)
    return Answer(AuthenticationMethod.RECOVERY_CODE, given.recovery_code or "")
