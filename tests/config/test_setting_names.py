"""Which names of variables are misspelled settings, and which belong to other programs."""

import re

import hypothesis
import pytest
from hypothesis import strategies as st

from app.config.setting_names import intended_settings
from app.config.sources import secret_files
from app.modules import MODULES, settings_class
from tests.support.servers import ROOT

KIND = settings_class(MODULES)
SETTINGS = [field.upper() for field in KIND.model_fields]
FILES = [variable.upper() for variable in secret_files(KIND).values()]
NAMES = SETTINGS + FILES
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Variables that shells, systemd, containers, CI, cloud platforms and other programs set, and those
# in the `.env` files of other programs.
NAMED_BY_OTHER_PROGRAMS = """
    HOME PATH LANG LC_ALL TERM SHELL USER LOGNAME PWD OLDPWD SHLVL DISPLAY EDITOR PAGER TZ TMPDIR
    HOSTNAME MAIL LS_COLORS DEBUGINFOD_URLS DEBUG_COLORS DEBUG_DEPTH NODE_DEBUG PYTHONASYNCIODEBUG
    XDG_DATA_HOME XDG_DATA_DIRS XDG_RUNTIME_DIR XDG_SESSION_ID XDG_SESSION_TYPE SESSION_MANAGER
    SSH_AUTH_SOCK SSH_CONNECTION DBUS_SESSION_BUS_ADDRESS INVOCATION_ID JOURNAL_STREAM LISTEN_FDS
    NOTIFY_SOCKET CREDENTIALS_DIRECTORY LOGS_DIRECTORY STATE_DIRECTORY CACHE_DIRECTORY
    http_proxy https_proxy no_proxy ALL_PROXY SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE
    PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE VIRTUAL_ENV UV_CACHE_DIR PIP_INDEX_URL NDEBUG XDEBUG
    npm_config_loglevel npm_package_version NODE_ENV NODE_OPTIONS JAVA_HOME JAVA_TOOL_OPTIONS
    KUBERNETES_SERVICE_HOST KUBERNETES_PORT_443_TCP DATABASE_SERVICE_HOST DATABASE_SERVICE_PORT
    DATABASE_PORT DATABASE_PORT_5432_TCP_ADDR SMTP_SERVICE_HOST SMTP_PORT_25_TCP PORTICO_PORT
    PORTICO_SERVICE_HOST POD_NAME POD_IP NODE_NAME MEMORY_LIMIT CPU_LIMIT LIMIT_CPU LIMIT_MEMORY
    CI GITHUB_TOKEN GITHUB_ACTIONS GITHUB_SHA RUNNER_DEBUG GITLAB_CI CI_COMMIT_SHA CI_JOB_TOKEN
    CI_DEBUG_TRACE DYNO PORT HEROKU_APP_NAME DATABASE_PUBLIC_URL RAILWAY_PUBLIC_DOMAIN PUBLIC_HOST
    RENDER_EXTERNAL_URL FLY_APP_NAME FLY_PUBLIC_IP PRIMARY_REGION VERCEL_URL VCAP_SERVICES
    DATABASE_URL_UNPOOLED DATABASE_URL_NON_POOLING DIRECT_URL SHADOW_DATABASE_URL POSTGRES_URL
    PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGSSLMODE PGDATA POSTGRES_USER POSTGRES_PASSWORD
    DATABASE_HOST DATABASE_PORT DATABASE_NAME DATABASE_USER DATABASE_PASSWORD DATABASE_SCHEMA
    DB_URL DB_HOST DB_CONNECTION DB_DATABASE MYSQL_DATABASE REDIS_URL MONGODB_URI AMQP_URL
    SMTP_HOST SMTP_PORT SMTP_USER SMTP_PASSWORD SMTP_TLS SMTP_FROM MAIL_MAILER MAIL_HOST MAIL_PORT
    MAIL_USERNAME MAIL_PASSWORD MAIL_FROM_ADDRESS MAIL_FROM_NAME EMAIL_FROM EMAIL_HOST EMAIL_BACKEND
    EMAILS_FROM_EMAIL APP_ENV APP_KEY APP_DEBUG APP_URL API_URL BACKEND_URL FRONTEND_HOST BASE_URL
    LOG_CHANNEL LOG_FILE LOG_DIR LOG_PATH RUST_LOG DD_LOG_LEVEL ROOT_LOG_LEVEL DJANGO_LOG_LEVEL
    SECRET_KEY_BASE DJANGO_SECRET_KEY AWS_SECRET_ACCESS_KEY JWT_SECRET JWT_SECRET_KEY SESSION_SECRET
    SESSION_DRIVER SESSION_LIFETIME ACCESS_TOKEN REFRESH_TOKEN ACCESS_TOKEN_SECRET ACCESS_KEY_ID
    ALLOWED_HOSTS CORS_ALLOWED_ORIGINS CORS_ALLOW_CREDENTIALS FORWARDED_ALLOW_IPS WEB_CONCURRENCY
    SENTRY_DSN SENTRY_TRACES_SAMPLE_RATE OTEL_EXPORTER_OTLP_ENDPOINT OTEL_SERVICE_NAME
    OTEL_LOG_LEVEL PROMETHEUS_MULTIPROC_DIR GRAFANA_URL ADMIN_EMAIL ADMIN_PASSWORD
    FIRST_SUPERUSER BCRYPT_SALT
    READ_TIMEOUT_SECONDS MAX_READ_BYTES MAX_WORKERS PASSWORD_MAX_LENGTH PASSWORD_RESET_TIMEOUT
    KEEP_ALIVE_TIMEOUT SHUTDOWN_TIMEOUT JOBS_QUEUE AUDIT_LOG PUBLIC_KEY PUBLIC_PATH DATA_PATH
    _DATABASE_URL _SECRET_KEY DATABASE_URL_2 DATABASE_URL2 TEST_DATABASE_URL PROXY_LISTEN
    PORTICO_DATABASE_PASSWORD REPLICATION_PASSWORD
"""
OF_OTHER_PROGRAMS = {name.upper() for name in re.findall(r"\w+", NAMED_BY_OTHER_PROGRAMS)}


def intended(written: str, *, strict: bool) -> list[str]:
    return intended_settings(written, SETTINGS, FILES, strict=strict)


def misspelled(names: set[str], *, strict: bool) -> dict[str, list[str]]:
    found = {name: intended(name, strict=strict) for name in names}
    return {name: settings for name, settings in found.items() if settings}


@st.composite
def typos(draw: st.DrawFn) -> tuple[str, str]:
    """A setting, and its name with one typo: a letter missing, added, wrong, or two swapped."""
    setting = draw(st.sampled_from(NAMES))
    words = setting.split("_")
    place = draw(st.integers(0, len(words) - 1))
    word = words[place]
    at = draw(st.integers(1, len(word) - 1))
    letter = draw(st.sampled_from(LETTERS))
    words[place] = draw(
        st.sampled_from(
            [
                word[:at] + word[at + 1 :],
                word[:at] + letter + word[at:],
                word[:at] + letter + word[at + 1 :],
                word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :],
            ]
        )
    )
    return setting, "_".join(words)


@hypothesis.given(typo=typos(), strict=st.booleans())
def test_a_name_with_one_typo_is_recognised(typo: tuple[str, str], strict: bool) -> None:
    setting, written = typo
    hypothesis.assume(written not in NAMES)

    assert setting in intended(written, strict=strict)


@hypothesis.given(
    setting=st.sampled_from(NAMES), separator=st.sampled_from(["", "-", "__", ".", "_-"])
)
def test_a_name_with_its_words_joined_or_separated_differently_is_recognised(
    setting: str, separator: str
) -> None:
    written = setting.replace("_", separator)
    hypothesis.assume(written not in NAMES)

    assert setting in intended(written, strict=False)


@pytest.mark.parametrize(
    ("written", "setting"),
    [
        ("DATABSE_URL", "DATABASE_URL"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("SECRETKEY", "SECRET_KEY"),
        ("ESCRET_KEY", "SECRET_KEY"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
        ("FRONT_END_URL", "FRONTEND_URL"),
        ("ACCESS_TOKEN_EXPIRES_MINUTES", "ACCESS_TOKEN_EXPIRE_MINUTES"),
        ("THROTTLE_ACOUNT_AND_ADRESS", "THROTTLE_ACCOUNT_AND_ADDRESS"),
        ("SECRET_KEYFILE", "SECRET_KEY_FILE"),
        ("DATABASE_URI_FILE", "DATABASE_URL_FILE"),
    ],
)
def test_a_common_misspelling_is_recognised(written: str, setting: str) -> None:
    assert intended(written, strict=False) == [setting]


@pytest.mark.parametrize(
    ("written", "setting"),
    [
        ("LOG_LEVELS", "LOG_LEVEL"),
        ("THROTTLE_ACCOUNT_ADDRESS", "THROTTLE_ACCOUNT_AND_ADDRESS"),
        ("ACCESS_TOKEN_MINUTES", "ACCESS_TOKEN_EXPIRE_MINUTES"),
        ("LIMIT_FIELD_COUNT", "LIMIT_FIELDS"),
        ("THROTTLE_SIGNUP", "THROTTLE_SIGN_UPS"),
        ("DATABASE_FILE", "DATABASE_URL_FILE"),
    ],
)
def test_a_file_of_settings_is_checked_more_strictly(written: str, setting: str) -> None:
    assert intended(written, strict=True) == [setting]
    assert intended(written, strict=False) == []


@pytest.mark.parametrize("written", ["THROTTLE_DEVICEE", "THROTTLE_DVICES"])
def test_every_setting_that_may_be_intended_is_named(written: str) -> None:
    assert set(intended(written, strict=False)) <= {"THROTTLE_DEVICE", "THROTTLE_DEVICES"}


def test_a_setting_prefixed_with_the_name_of_portico_is_recognised() -> None:
    assert intended("PORTICO_SECRET_KEY", strict=False) == ["SECRET_KEY"]
    assert intended("PORTICO_ELSEWHERE", strict=False) == []


def test_names_of_other_programs_are_accepted() -> None:
    assert misspelled(OF_OTHER_PROGRAMS, strict=False) == {}


def test_names_of_other_programs_are_accepted_in_a_shared_file_too() -> None:
    families = ("LIMIT_", "THROTTLE_")
    others = {name for name in OF_OTHER_PROGRAMS if not name.startswith(families)}

    assert misspelled(others, strict=True) == {}


@pytest.mark.parametrize("file", [".env.example", "deploy/.env.example"])
def test_example_files_have_no_misspelled_setting(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    names = set(re.findall(r"^(?:# )?([A-Z_]+)=", text, re.MULTILINE))

    assert len(names) > 8
    assert misspelled(names, strict=True) == {}


@hypothesis.given(name=st.text(max_size=40), strict=st.booleans())
def test_any_text_can_be_checked_and_only_settings_are_suggested(name: str, strict: bool) -> None:
    assert set(intended(name, strict=strict)) <= set(NAMES)
