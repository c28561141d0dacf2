"""Checks of settings, and of the files and limits of this machine."""

import resource
from urllib.parse import urlsplit

import psutil

from app.accounts.services.breached_passwords import HashFile
from app.cli import setting_warnings
from app.cli.doctor.environment import SetUp
from app.cli.doctor.findings import Verdict, check, failed, not_checked, ok, warning
from app.cli.management import DEFAULT
from app.cli.sizes import in_bytes
from app.config.sources import read_sources
from app.engine.persisted import PersistedDocuments
from app.http.cors import Cors
from app.mail.services.templates import Templates
from app.modules import emails_of, modules_named
from app.server.open_files import OTHER_FILES
from app.text.origins import read_origin

# The defaults of `portico serve`.
HOST, PORT = "127.0.0.1", 8000
FULL_BYTES = 100 * 1024**2
NEARLY_FULL_BYTES = 1024**3


@check("settings")
async def settings(setup: SetUp) -> Verdict:
    given = setup.given
    setting_warnings.check(given, HOST)
    PersistedDocuments.load(given.persisted_documents, only_trusted=given.persisted_documents_only)
    Templates.load(emails_of(modules_named(given.modules)), given.templates_dir)
    address = given.management_address or DEFAULT
    found = " ".join(setting_warnings.warnings_of(given, HOST, PORT, address))
    if found:
        return warning(found)
    sources = read_sources(type(setup.settings))
    number = len({*sources.environment, *sources.file} & {*type(given).model_fields})
    return ok(f"{number} are set.")


@check("open files")
async def open_files(setup: SetUp) -> Verdict:
    """Whether a worker may have as many open files as MAX_CONNECTIONS needs."""
    wanted = setup.given.max_connections + OTHER_FILES
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit >= wanted:
        return ok(f"{wanted} for MAX_CONNECTIONS={setup.given.max_connections} may be open.")
    return warning(
        f"MAX_CONNECTIONS={setup.given.max_connections} needs {wanted}, {limit} may be open.",
        "Raise the limit of the service (systemd: LimitNOFILE=, shell: ulimit -Hn).",
    )


@check("disk")
async def disk(setup: SetUp) -> Verdict:
    if not setup.given.embedded:
        return not_checked("The database is not the embedded one.")
    if not setup.given.data_dir.exists():
        return not_checked(f"{setup.given.data_dir} does not exist yet.")
    free = psutil.disk_usage(str(setup.given.data_dir)).free
    text = f"{in_bytes(free)} are free in {setup.given.data_dir}."
    if free < FULL_BYTES:
        return failed(text, "PostgreSQL stops when its disk is full.")
    return warning(text) if free < NEARLY_FULL_BYTES else ok(text)


@check("frontend")
async def frontend(setup: SetUp) -> Verdict:
    """Whether browsers let the frontend read answers."""
    given = setup.given
    if given.frontend_url is None:
        follows = "pages of this server" if given.link_pages else "PUBLIC_URL"
        return not_checked(f"FRONTEND_URL is not set: emails link to {follows}.")
    try:
        frontend, own = (_origin(url) for url in (given.frontend_url, given.public_url))
    except ValueError:
        return failed("FRONTEND_URL is not an address such as https://app.example.com.")
    if frontend == own:
        return ok(f"{frontend} is the origin of PUBLIC_URL.")
    cors, origin = Cors.of(setup.settings.cors_origins), frontend.encode()
    if cors.allows_credentials(origin):
        return ok(f"{frontend} is in CORS_ORIGINS.")
    if cors.allows(origin):
        return warning(
            f"{frontend} of FRONTEND_URL only matches a pattern in CORS_ORIGINS: it may read "
            "answers, but not use the session cookie.",
            "Add it by its name, unless the frontend uses `delivery: BODY`.",
        )
    return warning(
        f"{frontend} of FRONTEND_URL is not in CORS_ORIGINS: browsers do not let it read answers.",
        "Add it, unless the frontend calls Portico from its own server.",
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return read_origin(f"{parts.scheme}://{parts.netloc}")


@check("breached passwords file")
async def breached_passwords_file(setup: SetUp) -> Verdict:
    path = setup.given.breached_passwords_file
    if path is None:
        return not_checked("BREACHED_PASSWORDS_FILE is not set.")
    HashFile.of(path)
    return ok(f"{path} has SHA-1 hashes, {in_bytes(path.stat().st_size)}.")
