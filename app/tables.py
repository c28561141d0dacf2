"""All tables: importing this makes them known to the metadata."""

from app.audit import models as audit
from app.keys import models as keys
from app.mail import models as mail
from app.sessions import models as sessions
from app.throttle import models as throttle
from app.users import models as users

__all__ = ["audit", "keys", "mail", "sessions", "throttle", "users"]
