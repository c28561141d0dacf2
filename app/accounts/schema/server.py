"""What a form needs to know before a user signs in: `server`."""

from enum import Enum

import strawberry

from app.accounts.services.server_facts import ServerFacts
from app.graphql.access import guest_field
from app.graphql.context import Info


@strawberry.enum(description="Whether users have to verify their email address.")
class EmailVerification(Enum):
    OFF = strawberry.enum_value("OFF", description="`register` signs in at once.")
    REQUIRED = strawberry.enum_value(
        "REQUIRED",
        description="`register` sends an email; users sign in only after opening its link.",
    )


@strawberry.enum(description="A way to sign in.")
class SignInMethod(Enum):
    PASSWORD = strawberry.enum_value("PASSWORD", description="Email address and password: `login`.")
    PASSKEY = strawberry.enum_value(
        "PASSKEY", description="A passkey (WebAuthn): `signInWithPasskey`."
    )


@strawberry.enum(description="Who must have a second factor.")
class SecondFactorRequirement(Enum):
    OFF = strawberry.enum_value("OFF", description="No user has to: each may enroll one.")
    ADMINS = strawberry.enum_value("ADMINS", description="Administrators.")
    EVERYBODY = strawberry.enum_value("EVERYBODY", description="Everybody.")


@strawberry.type(description="What the forms of a frontend need to know about this server.")
class Server:
    facts: strawberry.Private[ServerFacts]

    @strawberry.field(description="The version of Portico.")
    def version(self) -> str:
        return self.facts.version

    @strawberry.field(description="Whether users have to verify their email address.")
    def email_verification(self) -> EmailVerification:
        if self.facts.verified_only:
            return EmailVerification.REQUIRED
        return EmailVerification.OFF

    @strawberry.field(description="The minimum number of characters of a new password.")
    def password_min_length(self) -> int:
        return self.facts.password_min_length

    @strawberry.field(description="The maximum number of characters of a password.")
    def password_max_length(self) -> int:
        return self.facts.password_max_length

    @strawberry.field(
        description="Who must have a second factor. Those who have none can sign in and enroll "
        "one; other fields answer them `SECOND_FACTOR_REQUIRED`."
    )
    def second_factor_required(self) -> SecondFactorRequirement:
        return SecondFactorRequirement[self.facts.second_factor_required.name]

    @strawberry.field(description="The ways to sign in.")
    def sign_in_methods(self) -> list[SignInMethod]:
        passkeys = [SignInMethod.PASSKEY] if self.facts.has_passkeys else []
        return [SignInMethod.PASSWORD, *passkeys]


@strawberry.type
class ServerQueries:
    @guest_field(description="What the forms of a frontend need to know before a user signs in.")
    async def server(self, info: Info) -> Server:
        return Server(facts=info.context.services[ServerFacts])
