"""The first administrator: made on an empty database and only there."""

import secrets
from dataclasses import dataclass

from sqlalchemy import exists, func, select

from app import models
from app.db import Database
from app.errors import Misconfigured
from app.models import Role
from app.services.accounts import Accounts
from app.services.inputs import Registration
from app.services.new_users import new_user

LOCK = 0x61646D696E  # "admin"


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    db: Database
    accounts: Accounts

    async def make(self, email: str, password: str | None) -> str | None:
        """Make the account and give its password; None where there are people already.

        Raises:
            Misconfigured: the address or the password is none that could be registered.

        """
        if not await self._nobody():
            return None
        chosen = password or secrets.token_urlsafe(12)
        checked = await self.accounts.checked(email, chosen, None)
        if not isinstance(checked, Registration):
            faults = ", ".join(f"{issue.path[0]}: {issue.message}" for issue in checked)
            msg = f"FIRST_ADMIN_EMAIL or FIRST_ADMIN_PASSWORD is refused. {faults}"
            raise Misconfigured(msg)
        password_hash = await self.accounts.passwords.hash(checked.password)
        async with self.db.begin() as session:
            # Two servers may start on one empty database; one of them makes it.
            await session.execute(select(func.pg_advisory_xact_lock(LOCK)))
            if await session.scalar(select(exists(select(models.User.id)))):
                return None
            await new_user(
                session,
                self.accounts.clock(),
                checked.email,
                password_hash,
                None,
                role=Role.ADMIN,
                email_verified=True,
            )
        return chosen

    async def _nobody(self) -> bool:
        return not (await self.db.rows(select(exists(select(models.User.id)))))[0][0]
