"""What fields about passkeys share: options for browsers, their answers, and the refusal."""

from datetime import datetime

import strawberry

from app.factors.services import passkey_proofs, passkey_requests
from app.factors.services.passkey_proofs import PasskeyAnswer as GivenPasskey
from app.graphql.problems import Problem
from app.graphql.scalars import JSON
from app.security.passkey_credentials import read_assertion

CREDENTIAL = "What `toJSON()` of the browser's `PublicKeyCredential` returns."
CEREMONY = "The `ceremony` of the `PasskeyOptions` that the browser was given. It works once."


@strawberry.type(
    description="What to ask a browser for (WebAuthn Level 3): its answer goes with `ceremony`."
)
class PasskeyOptions:
    ceremony: str = strawberry.field(
        description="Send it back with what the browser returns. It works once, also if the "
        "passkey is refused, and only for what it was begun for."
    )
    public_key: JSON = strawberry.field(
        description="For the browser's `PublicKeyCredential.parseCreationOptionsFromJSON` or "
        "`parseRequestOptionsFromJSON`."
    )
    expires_at: datetime = strawberry.field(description="When it expires: after 5 minutes.")

    @classmethod
    def of(cls, options: passkey_requests.PasskeyOptions) -> "PasskeyOptions":
        return cls(
            ceremony=options.ceremony,
            public_key=JSON(options.public_key),
            expires_at=options.expires_at,
        )


@strawberry.input(description="A signature with a passkey.")
class PasskeyAnswer:
    ceremony: str = strawberry.field(description=CEREMONY)
    credential: JSON = strawberry.field(description=CREDENTIAL)

    def read(self) -> GivenPasskey:
        return GivenPasskey(self.ceremony, read_assertion(self.credential))


@strawberry.type(
    description="The passkey is not accepted: unknown, removed, made for another site, or the "
    "ceremony was used, has expired, or was begun for something else. The answer does not say "
    "which, except that a passkey needs the password too since that was reset, or since a copy of "
    "the passkey was used."
)
class PasskeyRefused(Problem):
    @classmethod
    def of(cls, outcome: passkey_proofs.PasskeyRefused) -> "PasskeyRefused":
        if outcome.needs_password:
            return cls(
                message="The password was reset, or a copy of this passkey was used. Sign in with "
                "your password, and confirm with the passkey: then it signs in alone again."
            )
        return cls(message="This passkey was not accepted. Try again, or choose another way.")

    @classmethod
    def of_registration(cls) -> "PasskeyRefused":
        return cls(
            message="This passkey was not accepted. Try again; if it was registered before, use it."
        )
