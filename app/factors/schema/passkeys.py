"""Registering and renaming passkeys."""

from typing import Annotated

import strawberry
from strawberry import UNSET

from app import outcomes
from app.accounts import limits as account_limits
from app.accounts.schema.results import UserChanged
from app.factors import limits
from app.factors.schema.enrollment import FactorAdded
from app.factors.schema.passkey_types import (
    CEREMONY,
    CREDENTIAL,
    PasskeyOptions,
    PasskeyRefused,
)
from app.factors.schema.types import PASSKEY_ID, factor_of
from app.factors.services import enrollment, passkey_proofs
from app.factors.services.passkey_registration import (
    FRESH_TO_FINISH,
    MAX_PASSKEYS,
    PasskeyRegistration,
    Registered,
)
from app.factors.services.passkeys import Passkeys
from app.graphql.access import member_field
from app.graphql.context import Info, member
from app.graphql.inputs import none_if_unset
from app.graphql.problems import InvalidInput, NotFound, RateLimited
from app.graphql.scalars import JSON
from app.security.passkey_credentials import read_attestation
from app.sessions.services.freshness import FRESH_WITHIN
from app.text.global_ids import read_id_of
from app.users.services import outcomes as user_outcomes
from app.users.services.inputs import MAX_NAME_CHARACTERS

NAME = f"1 to {MAX_NAME_CHARACTERS} characters."


@strawberry.input(description="A new passkey.")
class FinishPasskeyRegistrationInput:
    ceremony: str = strawberry.field(description=CEREMONY)
    credential: JSON = strawberry.field(description=CREDENTIAL)
    name: str | None = strawberry.field(
        default=UNSET,
        description=f"{NAME} Omitted or empty: the name of the model if it is known, or that of "
        "the browser.",
    )


@strawberry.input(description="A new name.")
class RenamePasskeyInput:
    passkey_id: strawberry.ID = strawberry.field(description="The id of the passkey.")
    name: str = strawberry.field(description=NAME)


FinishPasskeyRegistrationResult = Annotated[
    FactorAdded | PasskeyRefused | InvalidInput | RateLimited,
    strawberry.union(
        "FinishPasskeyRegistrationResult", description="The outcomes of registering a passkey."
    ),
]
RenamePasskeyResult = Annotated[
    UserChanged | NotFound | InvalidInput,
    strawberry.union("RenamePasskeyResult", description="The outcomes of renaming a passkey."),
]


@strawberry.type
class PasskeyMutations:
    @member_field(
        description="Begin to register a passkey: returns what to ask the browser for. The address "
        "of the account must be verified (`EMAIL_NOT_VERIFIED`); at most "
        f"{MAX_PASSKEYS} passkeys (`LIMIT_REACHED`).",
        fresh_within=FRESH_WITHIN,
        without_factor=True,
    )
    async def begin_passkey_registration(self, info: Info) -> PasskeyOptions | None:
        begun = await info.context.services[PasskeyRegistration].begin(member(info))
        return PasskeyOptions.of(begun)

    @member_field(
        description="Register the passkey that the browser has made, in the session that has begun "
        "to. It signs in without a password, and is a second factor: `login` asks for it. The "
        "session is fresh then; with the first factor, other sessions have to step up.",
        limited_as=limits.PASSKEY_REGISTRATION,
        fresh_within=FRESH_TO_FINISH,
        without_factor=True,
    )
    async def finish_passkey_registration(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            FinishPasskeyRegistrationInput, strawberry.argument(description="The passkey.")
        ],
    ) -> FinishPasskeyRegistrationResult | None:
        context, name = info.context, none_if_unset(input.name)
        given = Registered(input.ceremony, read_attestation(input.credential), name)
        match await context.services[PasskeyRegistration].finish(
            member(info), given, context.client
        ):
            case enrollment.FactorAdded() as added:
                return FactorAdded(
                    factor=factor_of(added.factor), recovery_codes=added.recovery_codes
                )
            case passkey_proofs.PasskeyRefused():
                return PasskeyRefused.of_registration()
            case outcomes.InvalidInput() as invalid:
                return InvalidInput.of(invalid)

    @member_field(
        description="Rename a passkey of the current user.",
        limited_as=account_limits.PROFILE,
        fresh_within=FRESH_WITHIN,
    )
    async def rename_passkey(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            RenamePasskeyInput, strawberry.argument(description="The new name.")
        ],
    ) -> RenamePasskeyResult | None:
        context = info.context
        factor_id = read_id_of(PASSKEY_ID, input.passkey_id, "input.passkeyId")
        match await context.services[Passkeys].rename(
            member(info), factor_id, input.name, context.client
        ):
            case user_outcomes.UserChanged() as changed:
                return UserChanged.of(changed, info)
            case outcomes.NotFound():
                return NotFound.make()
            case outcomes.InvalidInput() as invalid:
                return InvalidInput.of(invalid)
