"""Starting a session. Only the gate (`gate.py`) imports this module."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import bindparam, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Query
from app.database.identifiers import new_id
from app.database.rows import returning
from app.security.client import Client
from app.sessions.events import SessionEvent
from app.sessions.models import LIFETIME, AuthenticationMethod, EndReason, Session, SessionRow
from app.sessions.services.known_devices import Devices
from app.sessions.services.lifetimes import Lifetimes
from app.sessions.services.outcomes import StartedSession
from app.sessions.services.rows import SESSION_COLUMNS
from app.sessions.services.session_tokens import SessionTokens
from app.sessions.services.sessions import record_ended
from app.users.models import User, UserRow
from app.users.services.rows import USER_COLUMNS

SALT_BYTES = 16
MAX_USER_AGENT_CHARACTERS = 300
# A new session ends the oldest one: a script that signs in on each run does not fill the table.
MAX_SESSIONS_PER_USER = 100

USER_ID = bindparam("user_id", type_=User.id.type)
NOW = bindparam("now", type_=Session.created_at.type)
SIGNED_IN = update(User).where(User.id == USER_ID).values(last_login_at=NOW)
RECORD_SIGN_IN = Query(returning(SIGNED_IN, (*USER_COLUMNS, User.device_generation)))
START = Query(
    returning(insert(Session), SESSION_COLUMNS),
    columns=(
        "id",
        "user_id",
        "token_salt",
        "user_agent",
        "ip_address",
        "created_at",
        "methods",
        "is_passkey_synced",
        "rotated_at",
        "last_used_at",
        "expires_at",
        "ends_by",
    ),
)
SURPLUS = (
    select(Session.id)
    .where(Session.user_id == USER_ID, LIFETIME.is_active(NOW))
    .order_by(Session.id.desc())
    .offset(literal_column(str(MAX_SESSIONS_PER_USER)))
)
END_SURPLUS = Query(
    update(Session)
    .where(Session.id.in_(SURPLUS), Session.ended_at.is_(None))
    .values(ended_at=NOW, end_reason=bindparam("reason"))
    .returning(Session.id)
)


@dataclass(frozen=True, slots=True)
class SessionStart:
    session_tokens: SessionTokens
    lifetimes: Lifetimes
    devices: Devices
    clock: Clock

    async def start(
        self,
        session: AsyncSession,
        user: UserRow,
        proved: Iterable[AuthenticationMethod],
        client: Client,
        is_passkey_synced: bool | None,
    ) -> StartedSession:
        """Building block: start a session in the caller's transaction, which has locked the user.

        Raises:
            Unavailable: this process cannot sign access tokens.

        """
        self.session_tokens.check_can_issue()
        now = self.clock()
        [(*user_values, generation)] = await RECORD_SIGN_IN.run(session, user_id=user.id, now=now)
        rows = await START.run(
            session,
            id=new_id(now),
            user_id=user.id,
            token_salt=secrets.token_bytes(SALT_BYTES),
            user_agent=_printable(client.user_agent),
            ip_address=client.ip_address,
            created_at=now,
            methods=[each.value for each in proved],
            is_passkey_synced=is_passkey_synced,
            rotated_at=now,
            last_used_at=now,
            expires_at=now + self.lifetimes.idle,
            ends_by=now + self.lifetimes.max,
        )
        recorder = Recorder(user.id, client, now)
        await self._end_oldest(session, user, recorder)
        await recorder.record(session, SessionEvent.SESSION_STARTED, target=user.id)
        device_token = self.devices.tokens.issue(user.id, generation)
        return StartedSession(UserRow._make(user_values), SessionRow._make(rows[0]), device_token)

    async def _end_oldest(self, session: AsyncSession, user: UserRow, recorder: Recorder) -> None:
        reason = EndReason.REVOKED
        ended = await END_SURPLUS.run(
            session, user_id=user.id, now=recorder.at, reason=reason.value
        )
        await record_ended(session, recorder, reason, user.id, len(ended))


def _printable(user_agent: str | None) -> str | None:
    if user_agent is None:
        return None
    return "".join(c for c in user_agent if c.isprintable())[:MAX_USER_AGENT_CHARACTERS] or None
