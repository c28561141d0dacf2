"""Enrolling and removing factors, and new recovery codes."""

from datetime import datetime
from typing import Annotated

import strawberry

from app import outcomes
from app.accounts.schema.results import UserChanged
from app.factors import limits
from app.factors.schema.challenges import TOTP, ChallengeExpired, InvalidCode
from app.factors.schema.types import Factor, factor_of, read_factor_id
from app.factors.services import answers, challenge_answers, enrollment, factors
from app.factors.services.enrollment import TotpEnrollments
from app.factors.services.factors import Factors
from app.graphql.access import member_field
from app.graphql.context import Info, member
from app.graphql.problems import NotFound, Problem, RateLimited
from app.sessions.schema.sign_in import EmailNotVerified
from app.sessions.services import sign_in
from app.sessions.services.freshness import FRESH_WITHIN
from app.users.services import outcomes as user_outcomes


@strawberry.type(
    description="A secret to enter into an authenticator app. It cannot be read again."
)
class TotpEnrollment:
    secret: str = strawberry.field(description="In base32, for people who type it. Secret.")
    otpauth_uri: str = strawberry.field(
        description="The same as a URI, to be drawn as a QR code. Secret: draw it on the device."
    )
    expires_at: datetime = strawberry.field(
        description="By when `confirmTotpEnrollment` has to be called: within 15 minutes."
    )

    @classmethod
    def of(cls, outcome: enrollment.Enrollment) -> "TotpEnrollment":
        return cls(
            secret=outcome.secret,
            otpauth_uri=outcome.otpauth_uri,
            expires_at=outcome.expires_at,
        )


@strawberry.type(description="The account has such a factor. Remove it first.")
class FactorAlreadyEnrolled(Problem):
    @classmethod
    def make(cls) -> "FactorAlreadyEnrolled":
        return cls(message="An authenticator app is enrolled already. Remove it first.")


@strawberry.input(description="The first code of an authenticator app.")
class ConfirmTotpEnrollmentInput:
    code: str = strawberry.field(description=TOTP)


@strawberry.type(
    description="The factor is enrolled: from now on, signing in with the password asks for it."
)
class FactorAdded:
    factor: Factor = strawberry.field(description="The factor.")
    recovery_codes: list[str] | None = strawberry.field(
        description="With the first factor only: ten codes, each of which replaces it once. Show "
        "them to the person; they cannot be read again. If the answer was lost, use "
        "`renewRecoveryCodes`: a repeated call returns null."
    )


@strawberry.type(description="Ten new recovery codes. Earlier ones no longer work.")
class RecoveryCodes:
    codes: list[str] = strawberry.field(
        description="Show them to the person; they cannot be read again. Secret."
    )


@strawberry.type(
    description="The user has no password and no other passkey: they could not sign in any more."
)
class LastWayIn(Problem):
    def is_wrong_guess(self) -> bool:
        return False

    @classmethod
    def make(cls) -> "LastWayIn":
        return cls(
            message="This is your only way to sign in. Set a password with “forgot password”, or "
            "register another passkey first."
        )


@strawberry.input(description="A factor.")
class RemoveFactorInput:
    factor_id: strawberry.ID = strawberry.field(description="The id of the factor.")


BeginTotpEnrollmentResult = Annotated[
    TotpEnrollment | FactorAlreadyEnrolled | EmailNotVerified,
    strawberry.union(
        "BeginTotpEnrollmentResult", description="The outcomes of asking for a TOTP secret."
    ),
]
ConfirmTotpEnrollmentResult = Annotated[
    FactorAdded | InvalidCode | ChallengeExpired | RateLimited,
    strawberry.union(
        "ConfirmTotpEnrollmentResult", description="The outcomes of enrolling an app."
    ),
]
RemoveFactorResult = Annotated[
    UserChanged | NotFound | LastWayIn | RateLimited,
    strawberry.union("RemoveFactorResult", description="The outcomes of removing a factor."),
]


@strawberry.type
class EnrollmentMutations:
    @member_field(
        description="Begin to enroll an authenticator app: returns a secret. The address of the "
        "account must be verified.",
        fresh_within=FRESH_WITHIN,
        without_factor=True,
    )
    async def begin_totp_enrollment(self, info: Info) -> BeginTotpEnrollmentResult | None:
        match await info.context.services[TotpEnrollments].begin(member(info)):
            case enrollment.Enrollment() as begun:
                return TotpEnrollment.of(begun)
            case enrollment.FactorAlreadyEnrolled():
                return FactorAlreadyEnrolled.make()
            case sign_in.EmailNotVerified():
                return EmailNotVerified.before_enrollment()

    @member_field(
        description="Enroll the authenticator app with a code of it, in the session that has begun "
        "to, with its latest secret. The code counts as used, and the session as fresh; other "
        "sessions have to step up.",
        limited_as=limits.PROOF,
        without_factor=True,
    )
    async def confirm_totp_enrollment(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            ConfirmTotpEnrollmentInput, strawberry.argument(description="The code.")
        ],
    ) -> ConfirmTotpEnrollmentResult | None:
        context = info.context
        match await context.services[TotpEnrollments].confirm(
            member(info), input.code, context.client
        ):
            case enrollment.FactorAdded() as added:
                return FactorAdded(
                    factor=factor_of(added.factor), recovery_codes=added.recovery_codes
                )
            case answers.InvalidCode():
                return InvalidCode.of_enrollment()
            case challenge_answers.ChallengeExpired() as expired:
                return ChallengeExpired.of(expired)

    @member_field(
        description="Replace the recovery codes of the current user; null if they have no second "
        "factor. Earlier ones no longer work.",
        limited_as=limits.FACTOR_CHANGE,
        fresh_within=FRESH_WITHIN,
    )
    async def renew_recovery_codes(self, info: Info) -> RecoveryCodes | None:
        context = info.context
        codes = await context.services[Factors].renew_codes(member(info), context.client)
        return None if codes is None else RecoveryCodes(codes=codes)

    @member_field(
        description="Remove a factor of the current user. The recovery codes go with the last one. "
        "The other sessions go on, and have to step up before their next sensitive change.",
        limited_as=limits.FACTOR_CHANGE,
        fresh_within=FRESH_WITHIN,
    )
    async def remove_factor(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            RemoveFactorInput, strawberry.argument(description="The factor.")
        ],
    ) -> RemoveFactorResult | None:
        context = info.context
        factor_id = read_factor_id(input.factor_id, "input.factorId")
        match await context.services[Factors].remove(member(info), factor_id, context.client):
            case user_outcomes.UserChanged() as changed:
                return UserChanged.of(changed, info)
            case outcomes.NotFound():
                return NotFound.make()
            case factors.LastWayIn():
                return LastWayIn.make()
