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
    "What a user may do.",
    MEMBER="May see and change their own account.",
    ADMIN="May see and change all users.",
)


@strawberry.type(description="A suspension of an account by an administrator.")
class Suspension:
    reason: str = strawberry.field(description="Why, in the administrator's words.")
    until: datetime | None = strawberry.field(description="When it ends by itself; null: never.")


@strawberry.type(description="A person with an account.")
class User(Node):
    row: strawberry.Private[UserRow]
    now: strawberry.Private[datetime]

    id: strawberry.ID = id_column("User")
    subject: str = column(
        "id",
        str,
        description="The `sub` of the user's access tokens, a UUID. It never changes. Accepted "
        "wherever the `id` of a user is.",
    )
    email: str = column(
        "email", description="The address, normalised: composed, and in lower case."
    )
    email_verified: bool = column(
        "email_verified",
        description="Whether the user has proved that they receive email at this address.",
    )
    display_name: str | None = column(
        "display_name",
        description="The name that the user has chosen; null if none.",
    )
    role: Role = column("role", Role, description="What the user may do.")
    created_at: datetime = column("created_at", description="When the account was created.")
    updated_at: datetime = column(
        "updated_at",
        description="When anything of the account, other than its sign-ins, last changed.",
    )
    last_login_at: datetime | None = column(
        "last_login_at",
        description="When the person last signed in with their password; null: never.",
    )
    external_id: str | None = column(
        "external_id",
        description="The id of the user in the system they were imported from; null if they were "
        "not imported.",
    )

    @computed(needs=SUSPENSION, description="False while suspended.")
    def is_active(self) -> bool:
        return self.row.is_active(self.now)

    @computed(
        needs=(*SUSPENSION, "suspension_reason"),
        description="The current suspension, if there is one.",
    )
    def suspension(self) -> Suspension | None:
        if self.row.is_active(self.now):
            return None
        return Suspension(reason=self.row.suspension_reason or "", until=self.row.suspended_until)


@strawberry.input(description="A user.")
class UserInput:
    user_id: strawberry.ID = strawberry.field(description="The `id` or the `subject` of the user.")
