"""Registration: `register`."""

from typing import Annotated

import strawberry
from strawberry import UNSET

from app import outcomes
from app.accounts import limits
from app.accounts.schema.results import EmailTaken
from app.accounts.services import pending_registrations as service
from app.accounts.services.registration import Accounts
from app.graphql.access import guest_field
from app.graphql.context import Info
from app.graphql.inputs import PASSWORD, none_if_unset
from app.graphql.problems import InvalidInput, RateLimited
from app.sessions.schema.delivery import TokenDelivery, cookie_for, delivery_field
from app.sessions.schema.sign_in import SignedIn, signed_in
from app.sessions.services import outcomes as session_outcomes
from app.users.services.inputs import MAX_EMAIL_BYTES, MAX_NAME_CHARACTERS


@strawberry.input(description="A new account.")
class RegisterInput:
    email: str = strawberry.field(
        description=f"Up to {MAX_EMAIL_BYTES} bytes; letters of any script; case does not matter."
    )
    password: str = strawberry.field(description=PASSWORD)
    display_name: str | None = strawberry.field(
        default=UNSET,
        description=f"The display name, up to {MAX_NAME_CHARACTERS} characters; may be omitted, "
        "null or empty.",
    )
    delivery: TokenDelivery = delivery_field()


@strawberry.type(
    description="An email with the next step is on its way: the same answer for a new and for a "
    "known address."
)
class VerificationSent:
    message: str = strawberry.field(description="What to tell the person, in English.")

    @classmethod
    def make(cls) -> "VerificationSent":
        return cls(message="We have sent you an email. Open the link in it to continue.")


RegisterResult = Annotated[
    SignedIn | VerificationSent | EmailTaken | InvalidInput | RateLimited,
    strawberry.union("RegisterResult", description="The outcomes of a registration."),
]


@strawberry.type
class AccountMutations:
    @guest_field(
        description="Create an account and sign in to it; if addresses have to be verified first, "
        "send an email instead.",
        limited_as=limits.SIGN_UP,
    )
    async def register(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            RegisterInput, strawberry.argument(description="The account to create.")
        ],
    ) -> RegisterResult:
        accounts, cookie = info.context.services[Accounts], cookie_for(info, input.delivery)
        name = none_if_unset(input.display_name)
        match await accounts.register(input.email, input.password, name, info.context.client):
            case session_outcomes.SignedIn() as outcome:
                return await signed_in(outcome, info, cookie)
            case service.VerificationSent():
                return VerificationSent.make()
            case outcomes.EmailTaken():
                return EmailTaken.make()
            case outcomes.InvalidInput() as invalid:
                return InvalidInput.of(invalid)
