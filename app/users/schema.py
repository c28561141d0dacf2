"""The type `User`, to which modules add fields."""

from datetime import datetime

import strawberry

from app.graphql.columns import column, computed
from app.graphql.ids import Node, id_column
from app.graphql.problems import publish_enum
from app.users.models import Role, UserRow

SUSPENSION = ("suspended_at", "suspended_until")

publish_enum(
    Role,
    "What somebody may do.",
    MEMBER="May see and change what is theirs.",
    ADMIN="May see and change everybody.",
)


@strawberry.type(description="A pause that an administrator has put on an account.")
class Suspension:
    reason: str = strawberry.field(description="Why, in the administrator's words.")
    until: datetime | None = strawberry.field(
        description="When it lifts itself; null: not by itself."
    )


@strawberry.type(description="A person with an account.")
class User(Node):
    row: strawberry.Private[UserRow]
    now: strawberry.Private[datetime]

    id: strawberry.ID = id_column("User")
    subject: str = column(
        "id",
        str,
        description="What access tokens call the user: `sub`, a UUID. It never changes. Accepted "
        "wherever the `id` of a user is.",
    )
    email: str = column(
        "email", description="The address, normalised: composed, and in lower case."
    )
    email_verified: bool = column(
        "email_verified",
        description="Whether the person has shown that they read mail at this address.",
    )
    display_name: str | None = column(
        "display_name",
        description="What the person wants to be called; null where they left it out.",
    )
    role: Role = column("role", Role, description="What this person may do.")
    created_at: datetime = column("created_at", description="When the account was made.")
    updated_at: datetime = column(
        "updated_at",
        description="When anything of the account, other than its sign-ins, last changed.",
    )
    last_login_at: datetime | None = column(
        "last_login_at",
        description="When the person last entered their password; null: never.",
    )
    external_id: str | None = column(
        "external_id",
        description="What another system called this person, from which they were imported; "
        "null for everybody else.",
    )

    @computed(needs=SUSPENSION, description="False while suspended.")
    def is_active(self) -> bool:
        return self.row.is_active(self.now)

    @computed(
        needs=(*SUSPENSION, "suspension_reason"),
        description="The pause on this account, if there is one now.",
    )
    def suspension(self) -> Suspension | None:
        if self.row.is_active(self.now):
            return None
        return Suspension(reason=self.row.suspension_reason or "", until=self.row.suspended_until)
