"""What the module `sessions` brings."""

from datetime import timedelta

from app.clock import Clock
from app.config.settings import PlatformSettings
from app.factors.settings import FactorSettings
from app.keys.services.signing_keys import SigningKeys
from app.keys.settings import KeySettings
from app.module import Module, Periodic
from app.periodic import PURGE_SECONDS
from app.security.access_tokens import AccessTokens
from app.security.device_tokens import DeviceTokens
from app.security.passwords import Passwords
from app.security.refresh_tokens import RefreshTokens
from app.sessions import limits
from app.sessions.emails import EMAILS
from app.sessions.events import SessionEvent
from app.sessions.metrics import GAUGES
from app.sessions.services.account_policy import AccountPolicy
from app.sessions.services.challenges import Challenges
from app.sessions.services.compromise import Compromise
from app.sessions.services.factor_policy import FactorPolicy, FactorsRequired
from app.sessions.services.freshness import Freshness
from app.sessions.services.gate import Gate
from app.sessions.services.known_devices import Devices
from app.sessions.services.lifetimes import Lifetimes
from app.sessions.services.password_failures import PasswordFailures
from app.sessions.services.refresh import TokenRefresh
from app.sessions.services.repeated_sign_ins import RepeatedSignIns
from app.sessions.services.session_tokens import SessionTokens
from app.sessions.services.sessions import Sessions
from app.sessions.services.sign_in import SignIn
from app.sessions.services.sign_out import SignOut
from app.sessions.services.starting import SessionStart
from app.sessions.services.viewers import Viewers
from app.sessions.settings import SessionSettings
from app.throttle.settings import ThrottleSettings
from app.users.settings import UserSettings


def access_tokens(
    keys: SigningKeys,
    settings: SessionSettings,
    key_settings: KeySettings,
    platform: PlatformSettings,
    clock: Clock,
) -> AccessTokens:
    lifetime = timedelta(minutes=key_settings.access_token_expire_minutes)
    return AccessTokens(keys, platform.public_url, settings.access_token_audience, lifetime, clock)


def lifetimes(settings: SessionSettings) -> Lifetimes:
    return Lifetimes(
        idle=timedelta(days=settings.refresh_token_expire_days),
        max=timedelta(days=settings.session_max_days),
        keep_ended=timedelta(days=settings.session_keep_ended_days),
    )


def passwords(settings: SessionSettings, throttle: ThrottleSettings) -> Passwords:
    return Passwords(rounds=settings.bcrypt_rounds, scale=throttle.throttle_scale)


def account_policy(settings: UserSettings) -> AccountPolicy:
    return AccountPolicy(verified_only=settings.email_verification == "required")


def factor_policy(settings: FactorSettings) -> FactorPolicy:
    return FactorPolicy(FactorsRequired(settings.second_factor_required))


MODULE = Module(
    name="sessions",
    settings=SessionSettings,
    emails=EMAILS,
    events=SessionEvent,
    attempts=(limits.SIGN_IN, limits.REFRESH),
    services=(
        access_tokens,
        lifetimes,
        passwords,
        account_policy,
        factor_policy,
        RefreshTokens.of,
        DeviceTokens.of,
        Devices,
        PasswordFailures,
        SessionTokens,
        SessionStart,
        Challenges,
        Gate,
        Freshness,
        RepeatedSignIns,
        SignIn,
        TokenRefresh,
        Sessions,
        SignOut,
        Viewers,
        Compromise,
    ),
    schema="app.sessions.schema.part",
    models="app.sessions.models",
    periodic=(
        Periodic(Sessions, Sessions.purge, PURGE_SECONDS),
        Periodic(Challenges, Challenges.purge, PURGE_SECONDS),
        Periodic(PasswordFailures, PasswordFailures.purge, PURGE_SECONDS),
    ),
    gauges=GAUGES,
)
