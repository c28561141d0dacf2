"""What `sslmode` and its like mean, as a TLS context: libpq's rules and default files."""

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from app.database.libpq.tls_parameters import SYSTEM, SslMode, Tls, TlsVersion
from app.errors import Misconfigured

# As a server that takes TLS without negotiation before it requires (PostgreSQL manual, 54.2.11).
PROTOCOL = "postgresql"
ROOT = "root.crt"
CERTIFICATE = "postgresql.crt"
KEY = "postgresql.key"
REVOKED = "root.crl"
VERSIONS = {
    TlsVersion.TLS_1_0: ssl.TLSVersion.TLSv1,
    TlsVersion.TLS_1_1: ssl.TLSVersion.TLSv1_1,
    TlsVersion.TLS_1_2: ssl.TLSVersion.TLSv1_2,
    TlsVersion.TLS_1_3: ssl.TLSVersion.TLSv1_3,
}


def context_of(tls: Tls, directory: Path) -> ssl.SSLContext:
    """Read the files anew: certificates are replaced while servers run.

    `directory` has libpq's default files (`~/.postgresql`).

    Raises:
        Misconfigured: names the file that is missing or cannot be used.

    """
    tls = _with_default_files(tls, directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.mode is SslMode.VERIFY_FULL
    context.minimum_version = VERSIONS[tls.minimum]
    if tls.maximum is not None:
        context.maximum_version = VERSIONS[tls.maximum]
    context.set_alpn_protocols([PROTOCOL])
    _verify_server(context, tls)
    _offer_certificate(context, tls)
    if tls.key_log is not None:
        with _naming("sslkeylogfile", tls.key_log):
            context.keylog_filename = tls.key_log
    return context


def _with_default_files(tls: Tls, directory: Path) -> Tls:
    return replace(
        tls,
        root_certificate=tls.root_certificate or _if_there(directory / ROOT),
        certificate=tls.certificate or _if_there(directory / CERTIFICATE),
        key=tls.key or _if_there(directory / KEY),
        revoked=tls.revoked or _if_there(directory / REVOKED),
    )


def _if_there(path: Path) -> str | None:
    return str(path) if path.exists() else None


def _verify_server(context: ssl.SSLContext, tls: Tls) -> None:
    root = tls.root_certificate
    if root is None and tls.mode is not SslMode.REQUIRE:
        raise Misconfigured(
            f"sslmode={tls.mode.value} needs sslrootcert: the file with the certificate of the"
            " database's CA, or `system` (with verify-full) for those that the system trusts."
        )
    if root is None:
        # Encrypted, to whoever answers: what `require` has always meant without a root certificate.
        context.verify_mode = ssl.CERT_NONE
    elif root == SYSTEM:
        context.load_default_certs()
    else:
        with _naming("sslrootcert", root):
            context.load_verify_locations(cafile=root)
    _check_revocation(context, tls)


def _check_revocation(context: ssl.SSLContext, tls: Tls) -> None:
    if tls.revoked is not None:
        with _naming("sslcrl", tls.revoked):
            context.load_verify_locations(cafile=tls.revoked)
    if tls.revoked_directory is not None:
        with _naming("sslcrldir", tls.revoked_directory):
            context.load_verify_locations(capath=tls.revoked_directory)
    if tls.revoked or tls.revoked_directory:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _offer_certificate(context: ssl.SSLContext, tls: Tls) -> None:
    if tls.certificate is None:
        return
    # Never asked for on a terminal.
    password = tls.key_password or ""
    with _naming("sslcert or sslkey", tls.certificate):
        context.load_cert_chain(tls.certificate, tls.key, lambda: password)


@contextmanager
def _naming(parameter: str, path: str) -> Generator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Misconfigured(f"{parameter}: {path} cannot be used: {reason}.") from error
