"""The interface `Factor`, its kinds, and the fields of `User` about them."""

import uuid
from datetime import datetime
from typing import Any

import strawberry

from app.errors import BadInput
from app.factors.models import FactorKind, FactorRow
from app.factors.services.factors import Factors
from app.factors.services.passkey_users import PasskeyUsers
from app.graphql.columns import column, computed
from app.graphql.context import Info, member
from app.graphql.ids import Node, id_column
from app.text.global_ids import read_id

PASSKEY_ID = "Passkey"


@strawberry.interface(description="A second factor, which signing in asks for after a password.")
class Factor(Node):
    @strawberry.field(description="When it was enrolled.")
    def created_at(self) -> datetime:
        raise NotImplementedError

    @strawberry.field(description="When it was last used.")
    def last_used_at(self) -> datetime | None:
        raise NotImplementedError


@strawberry.type(description="An authenticator app (TOTP, RFC 6238).")
class TotpFactor(Factor):
    row: strawberry.Private[FactorRow]

    id: strawberry.ID = id_column("TotpFactor")
    created_at: datetime = column("created_at", description="When it was enrolled.")
    last_used_at: datetime | None = column("last_used_at", description="When it was last used.")


@strawberry.type(
    description="A passkey (WebAuthn): it signs in without a password, and is a second factor."
)
class Passkey(Factor):
    row: strawberry.Private[FactorRow]

    id: strawberry.ID = id_column(PASSKEY_ID)
    created_at: datetime = column("created_at", description="When it was registered.")
    last_used_at: datetime | None = column("last_used_at", description="When it was last used.")
    name: str = column("name", description="What the user calls it.")
    is_backed_up: bool = column(
        "is_backed_up",
        description="Whether it is backed up, as its authenticator says: it may then exist on "
        "other devices, and the loss of one does not lose it.",
    )


@strawberry.type(
    description="The passkeys of a user that work, for the browser's "
    "`PublicKeyCredential.signalAllAcceptedCredentials`: it then no longer offers others."
)
class AcceptedPasskeys:
    rp_id: str = strawberry.field(description="The domain of the passkeys.")
    user_id: str = strawberry.field(
        description="The user handle: what authenticators store for the user, and nothing else."
    )
    all_accepted_credential_ids: list[str] = strawberry.field(
        description="The ids of the passkeys, in base64url."
    )


@strawberry.type
class UserFactors:
    """Fields that are added to `User`."""

    @computed(
        needs=(),
        description="The second factors of the user, oldest first. Only the user and "
        "administrators can see them; null for others.",
    )
    async def factors(self: Any, info: Info) -> list[Factor] | None:
        viewer = info.context.viewer
        if viewer is None:
            return None
        read = info.context.services[Factors].of_users
        rows = await info.context.batches.load(read, self.row.id, viewer)
        return None if rows is None else [factor_of(row) for row in rows]

    @computed(
        needs=(),
        description="How many recovery codes of the user are left. Only the user and "
        "administrators can see it; null for others.",
    )
    async def recovery_codes_left(self: Any, info: Info) -> int | None:
        viewer = info.context.viewer
        if viewer is None:
            return None
        read = info.context.services[Factors].codes_left
        return await info.context.batches.load(read, self.row.id, viewer)

    @computed(
        needs=(),
        description="The passkeys of the user for the browser; null for everybody else, and if the "
        "user has never begun to register one.",
    )
    async def accepted_passkeys(self: Any, info: Info) -> AcceptedPasskeys | None:
        viewer = info.context.viewer
        if viewer is None or viewer.user.id != self.row.id:
            return None
        read = info.context.services[PasskeyUsers].accepted
        found = await info.context.batches.load(read, self.row.id)
        return AcceptedPasskeys(**found._asdict()) if found else None


KINDS: dict[FactorKind, type[TotpFactor | Passkey]] = {
    FactorKind.TOTP: TotpFactor,
    FactorKind.PASSKEY: Passkey,
}


def factor_of(row: FactorRow) -> TotpFactor | Passkey:
    """Returns a factor as the type of its kind."""
    return KINDS[FactorKind(row.kind)](row=row)


def read_factor_id(text: str, argument: str) -> uuid.UUID:
    """Parse the id of a factor of any kind.

    Raises:
        BadInput: it is not the id of a factor.

    """
    name, row_id = read_id(text, argument)
    if name not in {kind.__name__ for kind in KINDS.values()}:
        raise BadInput(f"`{argument}` is not the id of a factor.")
    return row_id


async def totp_factor_by_id(info: Info, factor_id: uuid.UUID) -> TotpFactor | None:
    found = await _by_id(info, factor_id)
    return found if isinstance(found, TotpFactor) else None


async def passkey_by_id(info: Info, factor_id: uuid.UUID) -> Passkey | None:
    found = await _by_id(info, factor_id)
    return found if isinstance(found, Passkey) else None


async def _by_id(info: Info, factor_id: uuid.UUID) -> TotpFactor | Passkey | None:
    row = await info.context.services[Factors].by_id(member(info), factor_id)
    return factor_of(row) if row else None
