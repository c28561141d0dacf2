"""Tables, one file per family. Reached as `models.User`."""

from app.models.session import Session, SessionRow
from app.models.signing_key import SigningKey
from app.models.user import Role, User, UserRow

__all__ = ["Role", "Session", "SessionRow", "SigningKey", "User", "UserRow"]
