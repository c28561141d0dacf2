"""Administrators that the operator creates: at the first start, or by a command."""

import secrets
from dataclasses import dataclass

from sqlalchemy import exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.services.new_users import NewUser, is_unconfirmed, new_user
from app.accounts.services.registration import Accounts
from app.audit.services.events import Recorder
from app.database.database import Database
from app.errors import Misconfigured
from app.people.events import PeopleEvent
from app.security.client import NO_CLIENT
from app.users.models import Role, User, UserRow
from app.users.services.inputs import Registration, normalised_address
from app.users.services.rows import changed_user, locked_user
from app.users.services.viewer import Operator

LOCK = 0x61646D696E  # "admin"


@dataclass(frozen=True, slots=True)
class AdministratorAccounts:
    db: Database
    accounts: Accounts

    async def create_first(self, email: str, password: str | None) -> str | None:
        """Create the first administrator in an empty database, and return the password.

        Otherwise does nothing, and returns None.

        Raises:
            Misconfigured: the address or the password is invalid.

        """
        if await self._has_users():
            return None
        chosen = password or secrets.token_urlsafe(12)
        password_hash, address = await self._checked(
            email, chosen, "FIRST_ADMIN_EMAIL or FIRST_ADMIN_PASSWORD is invalid. "
        )
        async with self.db.begin() as session:
            # Two servers may start on one empty database: only one of them creates the account.
            await session.execute(select(func.pg_advisory_xact_lock(LOCK)))
            if await session.scalar(select(exists(select(User.id)))):
                return None
            await self._insert(session, address, password_hash, None)
        return chosen

    async def create(self, email: str, password: str) -> str | None:
        """Create an administrator. Returns the reason if that is not possible.

        Raises:
            Misconfigured: the address or the password is invalid.

        """
        password_hash, address = await self._checked(email, password, "")
        async with self.db.begin() as session:
            user = await self._insert(session, address, password_hash, Operator())
        return None if user else "An account with this address exists: see --promote."

    async def promote(self, email: str) -> str | None:
        """Make a user an administrator. Returns the reason if that is not possible."""
        user, now = User, self.accounts.clock()
        role = Role.ADMIN.value
        async with self.db.begin() as session:
            row = await locked_user(session, user.email == (normalised_address(email) or ""))
            if row is None:
                return "No account has this address."
            if await is_unconfirmed(session, row):
                return (
                    "The registration of this address is unconfirmed: a stranger may have made it."
                )
            if not row.is_active(now):
                return "This user is suspended: reinstate them first."
            if row.role != role:
                promoted = update(user).where(user.id == row.id)
                await changed_user(session, promoted.values(role=role, updated_at=now))
                event, details = PeopleEvent.ROLE_CHANGED, {"from": row.role, "to": role}
                recorder = Recorder(Operator(), NO_CLIENT, now)
                await recorder.record(session, event, target=row.id, **details)
        return None

    async def _checked(self, email: str, password: str, prefix: str) -> tuple[str, str]:
        checked = await self.accounts.checked(email, password, None)
        if not isinstance(checked, Registration):
            issues = ", ".join(f"{issue.path[0]}: {issue.message}" for issue in checked)
            raise Misconfigured(prefix + issues)
        return await self.accounts.passwords.hash(checked.password), checked.email

    async def _insert(
        self, session: AsyncSession, email: str, password_hash: str, operator: Operator | None
    ) -> UserRow | None:
        now, role = self.accounts.clock(), Role.ADMIN
        new = NewUser(email, password_hash, None, role, email_verified=True)
        user = await new_user(session, now, new)
        if user is not None:
            recorder = Recorder(operator, NO_CLIENT, now)
            event = PeopleEvent.USER_CREATED
            await recorder.record(session, event, target=user.id, role=role.value)
        return user

    async def _has_users(self) -> bool:
        return (await self.db.rows(select(exists(select(User.id)))))[0][0]
