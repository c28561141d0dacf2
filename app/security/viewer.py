"""Who calls: a `Viewer` comes only out of a verified token and a living session."""

from dataclasses import dataclass

from app.models import Role, SessionRow, UserRow


@dataclass(frozen=True, slots=True)
class Viewer:
    user: UserRow
    session: SessionRow

    @property
    def is_admin(self) -> bool:
        return self.user.role == Role.ADMIN.value

    def as_admin(self) -> "Admin | None":
        return Admin(self.user, self.session) if self.is_admin else None


@dataclass(frozen=True, slots=True)
class Admin(Viewer):
    pass
