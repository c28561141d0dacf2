"""The services of one process, made of its settings. Nothing here knows HTTP."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version

from app.accounts.services.breached_passwords import breaches_of
from app.accounts.services.email_addresses import Emails, SendVerification
from app.accounts.services.erasure import Erasure, ForgetAddresses
from app.accounts.services.new_passwords import NewPasswords, service_words
from app.accounts.services.password_confirmation import Confirmation
from app.accounts.services.passwords import PasswordChanges, SendReset
from app.accounts.services.pending_registrations import FinishRegistration, Registrations
from app.accounts.services.personal_data import PersonalData
from app.accounts.services.profile import Profiles
from app.accounts.services.registration import Accounts
from app.accounts.services.repeated_links import RepeatedLinks
from app.accounts.services.server_facts import ServerFacts
from app.accounts.services.trust import Trust
from app.audit.services.checkpoints import Checkpoints
from app.audit.services.integrity import Verification
from app.audit.services.reading import AuditEvents
from app.audit.services.retention import AuditRetention
from app.clock import Clock, system_clock
from app.config.settings import Settings
from app.database.database import Database, connect
from app.database.readiness import Readiness
from app.database.replica import Replica
from app.errors import Misconfigured
from app.graphql.context import Services
from app.housekeeping import Housekeeping
from app.jobs.handlers import Handler, Handles
from app.jobs.services.queue import Jobs, PersonMarks, SealedPayloads
from app.jobs.services.worker import Worker
from app.keys.services.fleet_secrets import FleetSecrets
from app.keys.services.signing_keys import SigningKeys
from app.mail.mailer import Mailer, mailer_of
from app.mail.services.one_time_tokens import OneTimeTokens
from app.mail.services.outgoing_emails import OutgoingEmails, SendEmail
from app.mail.services.rendering import renderer_of
from app.module_emails import MODULE_EMAILS
from app.people.services.administration import Administration
from app.people.services.first_administrator import Appointments
from app.people.services.user_files import UserFiles
from app.people.services.users import Users
from app.security.access_tokens import AccessTokens
from app.security.cursor_ciphers import CursorCiphers
from app.security.device_tokens import DeviceTokens
from app.security.keys import Secrets
from app.security.passwords import MAX_CHARACTERS, Passwords
from app.security.refresh_tokens import RefreshTokens
from app.sessions.services.compromise import Compromise
from app.sessions.services.password_failures import PasswordFailures
from app.sessions.services.refresh import Rotation
from app.sessions.services.sessions import Sessions
from app.sessions.services.sign_in import SignIn
from app.sessions.services.standing import Standing
from app.sessions.services.viewers import Viewers
from app.throttle.services.budgets import Budget, Budgets
from app.throttle.services.known_devices import Devices
from app.throttle.services.throttle import Throttle

NEWER = "The database is at revision %s, of a newer release: this one serves until it is replaced."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Portico:
    """The parts that live as long as the process."""

    db: Database
    replica: Replica
    keys: SigningKeys
    passwords: Passwords
    budgets: Budgets
    services: Services
    jobs: Jobs
    worker: Worker
    housekeeping: Housekeeping
    checkpoints: Checkpoints
    verification: Verification
    appointments: Appointments
    user_files: UserFiles
    readiness: Readiness
    fleet_secrets: FleetSecrets
    compromise: Compromise

    async def start(self) -> None:
        """Refuse to serve what could not be served.

        Raises:
            Misconfigured: says in one line what to do.
            Unavailable: the database does not answer, or cannot do it now.
            SQLAlchemyError: the database refuses.

        """
        await self.check()
        newer = await self.readiness.newer_revision()
        if newer:
            log.warning(NEWER, newer)
        await self.keys.start()

    async def check(self) -> None:
        """Refuse a database that is not one of this release, whatever its keys are.

        Raises:
            Misconfigured: says in one line what to do.
            Unavailable: the database does not answer, or cannot do it now.
            SQLAlchemyError: the database refuses.

        """
        await self.readiness.check()
        await self.readiness.check_schema()

    async def unready(self) -> str | None:
        """Say in one public sentence why no request can be served now; None if they can."""
        return await self.readiness.reason() or await self.keys.problem()

    async def stop(self) -> None:
        self.passwords.close()
        await self.replica.close()
        await self.db.close()


def build(settings: Settings, clock: Clock = system_clock, mailer: Mailer | None = None) -> Portico:
    """Make the services of these settings. Nothing is opened yet.

    Raises:
        Misconfigured: says in one line what is missing or wrong.

    """
    if settings.database_url is None or settings.secret_key is None:
        msg = "DATABASE_URL and SECRET_KEY must be set, unless `portico serve` brings its own."
        raise Misconfigured(msg)
    db = _database(settings, settings.database_url.get_secret_value())
    replica = _replica(settings, db)
    secrets = Secrets(settings.secret_key.get_secret_value())
    lifetime = timedelta(minutes=settings.access_token_expire_minutes)
    fleet = FleetSecrets(db, secrets, clock)
    rotate_after = timedelta(days=settings.signing_key_rotate_days)
    keys = SigningKeys(db, secrets, fleet, clock, rotate_after, lifetime)
    passwords = Passwords(rounds=settings.bcrypt_rounds, scale=settings.throttle_scale)
    access_tokens = AccessTokens(
        keys, settings.public_url, settings.access_token_audience, lifetime, clock
    )
    refresh_tokens = RefreshTokens.of(secrets)
    idle_lifetime = timedelta(days=settings.refresh_token_expire_days)
    devices = Devices(DeviceTokens.of(secrets))
    budgets = Budgets(db, secrets, _limits(settings), clock)
    throttle = Throttle(db, budgets, devices)
    standing = Standing(verified_only=settings.email_verification == "required")
    jobs = Jobs(db, SealedPayloads(secrets), PersonMarks(secrets))
    renderer = renderer_of(MODULE_EMAILS, settings)
    outgoing = OutgoingEmails(jobs, renderer, mailer or _mailer(settings))
    tokens = OneTimeTokens(db, clock)
    failures = PasswordFailures(db, secrets, outgoing, clock)
    trust = Trust(tokens, failures, clock)
    erasure = Erasure(db, jobs, outgoing, clock)
    sign_in = SignIn(
        db,
        passwords,
        access_tokens,
        refresh_tokens,
        clock,
        idle_lifetime,
        max_lifetime=timedelta(days=settings.session_max_days),
        standing=standing,
        failures=failures,
        devices=devices,
    )
    rotation = Rotation(db, refresh_tokens, fleet, sign_in, standing, clock, idle_lifetime)
    breached_url = settings.breached_passwords_url
    breaches = breaches_of(
        breached_url.get_secret_value() if breached_url else None, settings.breached_passwords_file
    )
    new_passwords = NewPasswords(
        passwords,
        breaches,
        settings.password_min_length,
        settings.password_min_guesses,
        service_words(settings.product, settings.public_url, settings.frontend_url),
    )
    registrations = Registrations(db, jobs, outgoing, tokens, throttle, clock)
    confirmation = Confirmation(db, passwords, failures, clock)
    repeats = RepeatedLinks(db, tokens, sign_in, clock)
    emails = Emails(
        db,
        jobs,
        outgoing,
        tokens,
        trust,
        confirmation,
        sign_in,
        repeats,
        throttle,
        clock,
        settings.email_domains,
    )
    password_changes = PasswordChanges(
        db,
        jobs,
        outgoing,
        tokens,
        trust,
        confirmation,
        passwords,
        new_passwords,
        throttle,
        devices,
        rotation,
        sign_in,
        clock,
    )
    services = Services(
        accounts=Accounts(
            db,
            passwords,
            new_passwords,
            sign_in,
            clock,
            registrations if standing.verified_only else None,
            settings.email_domains,
        ),
        administration=Administration(
            db, outgoing, tokens, trust, erasure, clock, settings.email_domains
        ),
        audit_events=AuditEvents(db, replica, clock),
        emails=emails,
        password_changes=password_changes,
        personal_data=PersonalData(db, jobs, confirmation, clock),
        profiles=Profiles(db, erasure, confirmation, clock),
        sign_in=sign_in,
        rotation=rotation,
        sessions=Sessions(db, clock, keep_ended=timedelta(days=settings.session_keep_ended_days)),
        throttle=throttle,
        users=Users(db, replica, clock),
        viewers=Viewers(db, standing, clock),
        access_tokens=access_tokens,
        cursor_ciphers=CursorCiphers(secrets),
        server_facts=_server_facts(settings),
        fleet_secrets=fleet,
        clock=clock,
    )
    handlers: Mapping[str, Handler] = {
        SendEmail.job: Handles(SendEmail, OutgoingEmails, OutgoingEmails.deliver).bound_to(
            outgoing
        ),
        FinishRegistration.job: Handles(
            FinishRegistration, Registrations, Registrations.take
        ).bound_to(registrations),
        ForgetAddresses.job: Handles(ForgetAddresses, Erasure, Erasure.finish).bound_to(erasure),
        SendVerification.job: Handles(SendVerification, Emails, Emails.post_verification).bound_to(
            emails
        ),
        SendReset.job: Handles(SendReset, PasswordChanges, PasswordChanges.post_reset).bound_to(
            password_changes
        ),
    }
    retake_after = timedelta(seconds=settings.jobs_retake_seconds)
    worker = Worker(db, jobs.payloads, handlers, retake_after)
    checkpoints = Checkpoints(db, keys, secrets, clock)
    retention = AuditRetention(db, checkpoints, secrets, fleet, clock, settings.audit_keep_days)
    housekeeping = Housekeeping(
        services.sessions,
        tokens,
        registrations,
        jobs,
        budgets,
        failures,
        retention,
        clock,
        timedelta(days=settings.jobs_keep_days),
    )
    return Portico(
        db,
        replica,
        keys,
        passwords,
        budgets,
        services,
        jobs,
        worker,
        housekeeping,
        checkpoints,
        Verification(db, secrets, clock),
        Appointments(db, services.accounts),
        UserFiles(db, clock, settings.email_domains),
        Readiness(db),
        fleet,
        Compromise(db, secrets, fleet, keys, checkpoints, retention, jobs, clock),
    )


def _database(settings: Settings, url: str) -> Database:
    size, prepared = settings.database_pool_size, settings.database_prepared_statements
    seconds = settings.database_timeout_seconds
    link = connect(url, pool_size=size, timeout_seconds=seconds, prepared=prepared)
    return Database(link, pool_size=size)


def _replica(settings: Settings, primary: Database) -> Replica:
    if settings.database_read_url is None:
        return Replica(primary)
    max_lag = settings.database_read_max_lag_seconds
    return Replica(
        primary,
        _database(settings, settings.database_read_url.get_secret_value()),
        None if max_lag == "off" else max_lag,
    )


def _limits(settings: Settings) -> dict[Budget, int]:
    named = {budget: getattr(settings, f"throttle_{budget.name.lower()}") for budget in Budget}
    scale = settings.throttle_scale
    return {budget: max(1, round(number * scale)) for budget, number in named.items()}


def _mailer(settings: Settings) -> Mailer:
    url = settings.smtp_url.get_secret_value() if settings.smtp_url else None
    if url is None and settings.email_verification == "required":
        raise Misconfigured("EMAIL_VERIFICATION=required needs SMTP_URL, or nobody can register.")
    return mailer_of(url, settings.mail_from)


def _server_facts(settings: Settings) -> ServerFacts:
    return ServerFacts(
        version("portico"),
        verified_only=settings.email_verification == "required",
        password_min_length=settings.password_min_length,
        password_max_length=MAX_CHARACTERS,
    )
