"""Email addresses: verification, and changing the address."""

from typing import Annotated

import strawberry

from app import outcomes
from app.accounts import limits
from app.accounts.schema.results import (
    EmailInput,
    EmailTaken,
    RequestAccepted,
    TokenInput,
    TokenInvalid,
    UserChanged,
    token_field,
)
from app.accounts.services import email_addresses as service
from app.accounts.services.email_addresses import EmailAddresses
from app.graphql.access import guest_field, member_field
from app.graphql.context import Info, member
from app.graphql.problems import InvalidInput, RateLimited
from app.mail.services import one_time_tokens
from app.sessions.schema.delivery import (
    TokenDelivery,
    cookie_for,
    delivery_field,
    viewer_of_request,
)
from app.sessions.schema.sign_in import ChallengeRequired, InvalidCredentials, SignedIn, signed_in
from app.sessions.services import outcomes as session_outcomes
from app.sessions.services.freshness import FRESH_WITHIN
from app.users.services import outcomes as user_outcomes

VERIFICATION_REQUESTED = (
    "If there is an account to verify with this address, a link is on its way to it."
)
CHANGE_REQUESTED = "We have sent a link to the new address. Open it to confirm the change."


@strawberry.input(description="The token of a link that verifies an address.")
class VerifyEmailInput:
    token: str = token_field()
    delivery: TokenDelivery = delivery_field()


@strawberry.input(description="A new address for the account.")
class RequestEmailChangeInput:
    new_email: str = strawberry.field(description="The address to use from now on.")
    password: str = strawberry.field(description="The password of the account.")


VerifyEmailResult = Annotated[
    SignedIn | ChallengeRequired | TokenInvalid | RateLimited,
    strawberry.union("VerifyEmailResult", description="The outcomes of a verification."),
]
RequestEmailVerificationResult = Annotated[
    RequestAccepted | RateLimited,
    strawberry.union(
        "RequestEmailVerificationResult", description="The outcomes of asking for another email."
    ),
]
RequestEmailChangeResult = Annotated[
    RequestAccepted | InvalidCredentials | InvalidInput | RateLimited,
    strawberry.union(
        "RequestEmailChangeResult", description="The outcomes of asking for a change."
    ),
]
ConfirmEmailChangeResult = Annotated[
    UserChanged | TokenInvalid | EmailTaken | RateLimited,
    strawberry.union(
        "ConfirmEmailChangeResult", description="The outcomes of confirming a change."
    ),
]


@strawberry.type
class EmailMutations:
    @guest_field(
        description="Verify an address with the token of an emailed link, and sign in; if the "
        "account has a second factor, the result is a challenge. If the "
        "address was not verified before, all other sessions of the account end and its password "
        "is removed, unless the link belongs to the registration that chose the password, or the "
        "request has an access token or the cookie of the account. Repeated by the same client "
        "(address and user agent), within 30 seconds or while the session is unused, it returns "
        "the same session.",
        limited_as=limits.LINK,
    )
    async def verify_email(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            VerifyEmailInput, strawberry.argument(description="The token.")
        ],
    ) -> VerifyEmailResult:
        context, cookie = info.context, cookie_for(info, input.delivery)
        viewer = await viewer_of_request(info)
        match await context.services[EmailAddresses].verify(input.token, viewer, context.client):
            case session_outcomes.SignedIn() as outcome:
                return await signed_in(outcome, info, cookie)
            case session_outcomes.ChallengeRequired() as outcome:
                return ChallengeRequired.of(outcome)
            case one_time_tokens.TokenInvalid():
                return TokenInvalid.make()

    @guest_field(
        description="Request another email with a link that verifies an address. The answer is "
        "the same for every address.",
        limited_as=limits.EMAIL,
    )
    async def request_email_verification(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            EmailInput, strawberry.argument(description="The address.")
        ],
    ) -> RequestEmailVerificationResult:
        context = info.context
        await context.services[EmailAddresses].request_verification(input.email, context.client)
        return RequestAccepted(message=VERIFICATION_REQUESTED)

    @member_field(
        description="Request a change of address: a link is sent to the new address, and a notice "
        "to the current one.",
        limited_as=limits.EMAIL_CHANGE,
        fresh_within=FRESH_WITHIN,
    )
    async def request_email_change(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            RequestEmailChangeInput, strawberry.argument(description="The change.")
        ],
    ) -> RequestEmailChangeResult | None:
        context, viewer = info.context, member(info)
        emails = context.services[EmailAddresses]
        match await emails.request_change(viewer, input.new_email, input.password, context.client):
            case service.RequestAccepted():
                return RequestAccepted(message=CHANGE_REQUESTED)
            case outcomes.InvalidCredentials():
                return InvalidCredentials.of_password()
            case outcomes.InvalidInput() as invalid:
                return InvalidInput.of(invalid)
            case outcomes.RateLimited() as limited:
                return RateLimited.of(limited)

    @guest_field(
        description="Confirm a change of address with the token sent to the new one, or undo it "
        "with the token sent to the former one, which is valid for 7 days. Undoing ends all "
        "sessions, removes the password and sends a link to choose another. Repeated by the same "
        "client (address and user agent), it returns the same answer while the address is still "
        "that one.",
        limited_as=limits.LINK,
    )
    async def confirm_email_change(
        self,
        info: Info,
        input: Annotated[  # noqa: A002 - the name in the contract
            TokenInput, strawberry.argument(description="The token.")
        ],
    ) -> ConfirmEmailChangeResult:
        context = info.context
        match await context.services[EmailAddresses].confirm_change(input.token, context.client):
            case user_outcomes.UserChanged() as changed:
                return UserChanged.of(changed, info)
            case one_time_tokens.TokenInvalid():
                return TokenInvalid.make()
            case outcomes.EmailTaken():
                return EmailTaken.make()
