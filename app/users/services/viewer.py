"""Who acts: a `Viewer` with a verified token and an active session, or the `Operator`."""

import uuid
from dataclasses import dataclass

from app.users.models import Role, UserRow


@dataclass(frozen=True, slots=True)
class Viewer:
    user: UserRow
    session_id: uuid.UUID
    # Whether the server requires a second factor, which the session has not proved.
    lacks_factor: bool = False

    @property
    def is_admin(self) -> bool:
        return self.user.role == Role.ADMIN.value

    def as_admin(self) -> "Admin | None":
        return Admin(self.user, self.session_id, self.lacks_factor) if self.is_admin else None


@dataclass(frozen=True, slots=True)
class Admin(Viewer):
    pass


@dataclass(frozen=True, slots=True)
class Operator:
    """Who runs commands, with the database and SECRET_KEY: may do what administrators may.

    Created by commands only, never for a request.
    """
