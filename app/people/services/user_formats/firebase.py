"""Firebase: the output of `firebase auth:export`, as JSON and as CSV."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.people.services.user_formats.fields import (
    UNREADABLE_HASH,
    Fields,
    decoded,
    flag,
    identity,
    unpadded,
)

# Its CSV files have no header: these are the first columns, in this order.
COLUMNS = (
    "localId",
    "email",
    "emailVerified",
    "passwordHash",
    "salt",
    "displayName",
    "photoUrl",
    *(
        f"{provider}{part}"
        for provider in ("google", "facebook", "twitter", "github")
        for part in ("Id", "Email", "DisplayName", "PhotoUrl")
    ),
    "createdAt",
    "lastSignedInAt",
    "phoneNumber",
    "disabled",
    "customAttributes",
)


@dataclass(frozen=True, slots=True)
class HashParameters:
    """The "Password hash parameters" that the console of a project shows."""

    signer_key: bytes = field(repr=False)
    salt_separator: bytes
    rounds: int
    mem_cost: int

    def encode(self, salt: bytes, digest: bytes) -> str:
        """Returns a hash with the parameters that are needed to verify it."""
        parameters = (
            f"m={self.mem_cost},r={self.rounds}"
            f",ss={unpadded(self.salt_separator)},sk={unpadded(self.signer_key)}"
        )
        return f"$firebase-scrypt${parameters}${unpadded(salt)}${unpadded(digest)}"


def person(record: Mapping[str, Any], parameters: HashParameters | None) -> Fields:
    return {
        **identity(record.get("localId")),
        "email": record.get("email"),
        "emailVerified": flag(record.get("emailVerified")),
        "displayName": record.get("displayName"),
        "createdAt": record.get("createdAt"),
        "lastLoginAt": record.get("lastSignedInAt"),
        "suspension": {"reason": "Disabled in Firebase"} if flag(record.get("disabled")) else None,
        "passwordHash": _password_hash(record, parameters),
    }


def _password_hash(record: Mapping[str, Any], parameters: HashParameters | None) -> str | None:
    if not record.get("passwordHash"):
        return None
    salt, digest = decoded(record.get("salt")), decoded(record["passwordHash"])
    if parameters is None or salt is None or digest is None:
        return UNREADABLE_HASH
    return parameters.encode(salt, digest)
