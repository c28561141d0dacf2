"""Accounts: how one is made."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import models
from app.db import Database
from app.errors import Overloaded
from app.models import AuditName, Role, UserRow
from app.security.passwords import Passwords
from app.services.audit import record
from app.services.identifiers import new_id
from app.services.inputs import Registration, check, known_form
from app.services.new_passwords import NewPasswords
from app.services.outcomes import Client, InputIssue, InvalidInput, RateLimited, SignedIn
from app.services.rows import changed_user
from app.services.sign_in import SignIn


@dataclass(frozen=True, slots=True)
class EmailTaken:
    """Somebody has this address. Said only while nobody verifies addresses by mail."""


@dataclass(frozen=True, slots=True)
class Accounts:
    db: Database
    passwords: Passwords
    new_passwords: NewPasswords
    sign_in: SignIn
    clock: Callable[[], datetime]

    async def register(
        self, email: str, password: str, display_name: str | None, client: Client
    ) -> SignedIn | EmailTaken | InvalidInput | RateLimited:
        """Make an account and sign it in. The database decides who was first with an address."""
        try:
            checked = await self.checked(email, password, display_name)
            if not isinstance(checked, Registration):
                return InvalidInput(checked)
            password_hash = await self.passwords.hash(checked.password)
        except Overloaded as full:
            return RateLimited(full.retry_after_seconds)
        async with self.db.begin() as session:
            user = await self.create(session, checked, password_hash, signs_in=True)
            if user is None:
                return EmailTaken()
            event = AuditName.USER_REGISTERED
            await record(session, self.clock(), event, client, actor=user.id, target=user.id)
            started = await self.sign_in.start(session, user, client)
        return self.sign_in.signed_in(user, started)

    async def checked(
        self, email: str, password: str, display_name: str | None
    ) -> Registration | tuple[InputIssue, ...]:
        """Building block: everything that is wrong with a registration, in one answer."""
        values = {"email": email, "password": password, "displayName": display_name}
        result = check(Registration, values, password_min_length=self.new_passwords.min_length)
        issues = () if isinstance(result, Registration) else result
        if any(issue.path == ("password",) for issue in issues):
            return issues
        guessable = await self.new_passwords.issue_with(
            password, known_form(email) or "", display_name
        )
        if guessable:
            return (*issues, guessable)
        return result

    async def create(
        self,
        session: AsyncSession,
        registration: Registration,
        password_hash: str,
        *,
        role: Role = Role.MEMBER,
        email_verified: bool = False,
        signs_in: bool = False,
    ) -> UserRow | None:
        """Building block: insert the row, or None where the address is taken."""
        now = self.clock()
        created = (
            insert(models.User)
            .values(
                id=new_id(now),
                email=registration.email,
                email_verified=email_verified,
                password_hash=password_hash,
                display_name=registration.display_name,
                role=role.value,
                created_at=now,
                updated_at=now,
                last_login_at=now if signs_in else None,
            )
            .on_conflict_do_nothing(index_elements=[models.User.email])
        )
        return await changed_user(session, created)
