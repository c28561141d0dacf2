"""Registration of an account."""

from dataclasses import dataclass

from app.accounts.events import AccountEvent
from app.accounts.services.new_passwords import NewPasswords
from app.accounts.services.new_users import NewUser, new_user
from app.accounts.services.pending_registrations import Registrations, VerificationSent
from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.outcomes import EmailTaken, InputIssue, InvalidInput
from app.security.client import Client
from app.security.passwords import Passwords
from app.sessions.models import AuthenticationMethod
from app.sessions.services.account_policy import AccountPolicy
from app.sessions.services.gate import Gate
from app.sessions.services.outcomes import SignedIn
from app.text.email_addresses import EmailDomains
from app.users.services.inputs import Registration, check, normalised_address


@dataclass(frozen=True, slots=True)
class Accounts:
    db: Database
    passwords: Passwords
    new_passwords: NewPasswords
    gate: Gate
    clock: Clock
    account_policy: AccountPolicy
    registrations: Registrations
    email_domains: EmailDomains

    async def register(
        self, email: str, password: str, display_name: str | None, client: Client
    ) -> SignedIn | VerificationSent | EmailTaken | InvalidInput:
        """Create an account and sign in; if addresses have to be verified, send an email instead.

        If addresses have to be verified, the answer and its timing are the same for an address that
        already has an account.

        Raises:
            Overloaded: too many passwords are being hashed.

        """
        checked = await self.checked(email, password, display_name)
        if not isinstance(checked, Registration):
            return InvalidInput(checked)
        password_hash = await self.passwords.hash(checked.password, client.block)
        if self.account_policy.verified_only:
            return await self.registrations.accept(checked, password_hash, client)
        async with self.db.begin() as session:
            now, email, name = self.clock(), checked.email, checked.display_name
            new = NewUser(email, password_hash, name)
            user = await new_user(session, now, new)
            if user is None:
                return EmailTaken()
            recorder = Recorder(user.id, client, now)
            await recorder.record(session, AccountEvent.USER_REGISTERED, target=user.id)
            proved = (AuthenticationMethod.PASSWORD,)
            started = await self.gate.start(session, user, proved, client)
        return self.gate.signed_in(started)

    async def checked(
        self, email: str, password: str, display_name: str | None
    ) -> Registration | tuple[InputIssue, ...]:
        """Building block: the validated registration, or everything that is invalid in it."""
        values = {"email": email, "password": password, "displayName": display_name}
        result = check(
            Registration,
            values,
            password_min_length=self.new_passwords.min_length,
            email_domains=self.email_domains,
        )
        issues = () if isinstance(result, Registration) else result
        if any(issue.path == ("password",) for issue in issues):
            return issues
        guessable = await self.new_passwords.find_issue(
            password, normalised_address(email) or "", display_name
        )
        if guessable:
            return (*issues, guessable)
        return result
