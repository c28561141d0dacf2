"""What the module `accounts` brings."""

from importlib.metadata import version

from app.accounts import limits
from app.accounts.emails import EMAILS
from app.accounts.events import AccountEvent
from app.accounts.services.breached_passwords import breached_passwords_of
from app.accounts.services.email_addresses import EmailAddresses, SendVerification
from app.accounts.services.erasure import EraseIpAddresses, Erasure
from app.accounts.services.new_passwords import NewPasswords, service_words
from app.accounts.services.password_confirmation import PasswordConfirmation
from app.accounts.services.passwords import PasswordChanges, SendReset
from app.accounts.services.pending_registrations import FinishRegistration, Registrations
from app.accounts.services.personal_data import PersonalData, PersonalTables
from app.accounts.services.profile import Profiles
from app.accounts.services.registration import Accounts
from app.accounts.services.repeated_links import RepeatedLinks
from app.accounts.services.server_facts import ServerFacts
from app.accounts.services.trust import Trust
from app.accounts.settings import AccountSettings
from app.config.settings import PlatformSettings
from app.database.base import AllTables
from app.jobs.handlers import Handles
from app.mail.settings import MailSettings
from app.module import Module, Periodic
from app.periodic import PURGE_SECONDS
from app.security.passwords import MAX_CHARACTERS, Passwords
from app.security.relying_party import RelyingParty
from app.sessions.services.factor_policy import FactorPolicy
from app.users.settings import UserSettings


def new_passwords(
    passwords: Passwords, settings: AccountSettings, mail: MailSettings, platform: PlatformSettings
) -> NewPasswords:
    url = settings.breached_passwords_url
    return NewPasswords(
        passwords,
        breached_passwords_of(
            url.get_secret_value() if url else None, settings.breached_passwords_file
        ),
        settings.password_min_length,
        settings.password_min_guesses,
        service_words(mail.product, platform.public_url, mail.frontend_url),
    )


def personal_tables(tables: AllTables) -> PersonalTables:
    return PersonalTables.of(tables)


def server_facts(
    settings: AccountSettings, users: UserSettings, policy: FactorPolicy, party: RelyingParty
) -> ServerFacts:
    return ServerFacts(
        version("portico"),
        verified_only=users.email_verification == "required",
        password_min_length=settings.password_min_length,
        password_max_length=MAX_CHARACTERS,
        second_factor_required=policy.required,
        has_passkeys=party.is_usable,
    )


MODULE = Module(
    name="accounts",
    settings=AccountSettings,
    emails=EMAILS,
    services=(
        new_passwords,
        personal_tables,
        server_facts,
        Accounts,
        PasswordConfirmation,
        EmailAddresses,
        Erasure,
        PasswordChanges,
        PersonalData,
        Profiles,
        Registrations,
        RepeatedLinks,
        Trust,
    ),
    schema="app.accounts.schema.part",
    jobs=(
        Handles(FinishRegistration, Registrations, Registrations.finish),
        Handles(EraseIpAddresses, Erasure, Erasure.finish),
        Handles(SendVerification, EmailAddresses, EmailAddresses.send_verification),
        Handles(SendReset, PasswordChanges, PasswordChanges.send_reset),
    ),
    events=AccountEvent,
    attempts=(
        limits.SIGN_UP,
        limits.LINK,
        limits.EMAIL,
        limits.PASSWORD,
        limits.EMAIL_CHANGE,
        limits.PROFILE,
        limits.EXPORT,
        limits.USER_EXPORT,
    ),
    periodic=(Periodic(Registrations, Registrations.purge, PURGE_SECONDS),),
)
