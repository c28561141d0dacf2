"""The interface `Factor`, its kinds, and the fields of `User` about them."""

import uuid
from datetime import datetime
from typing import Any

import strawberry

from app.factors.models import FactorRow
from app.factors.services.factors import Factors
from app.graphql.columns import column, computed
from app.graphql.context import Info, member
from app.graphql.ids import Node, id_column


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
        return None if rows is None else [TotpFactor(row=row) for row in rows]

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


async def totp_factor_by_id(info: Info, factor_id: uuid.UUID) -> TotpFactor | None:
    row = await info.context.services[Factors].by_id(member(info), factor_id)
    return TotpFactor(row=row) if row else None
