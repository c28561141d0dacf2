"""Who calls: a `Viewer` comes only out of a verified token and a living session."""

import uuid
from dataclasses import dataclass

from app.models import Role, UserRow


@dataclass(frozen=True, slots=True)
class Viewer:
    user: UserRow
    session_id: uuid.UUID

    @property
    def is_admin(self) -> bool:
        return self.user.role == Role.ADMIN.value

    def as_admin(self) -> "Admin | None":
        return Admin(self.user, self.session_id) if self.is_admin else None


@dataclass(frozen=True, slots=True)
class Admin(Viewer):
    pass
