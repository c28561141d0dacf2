"""Makes a TLS context from the TLS parameters, by libpq's rules and with its default files."""

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from app.database.libpq.tls_parameters import SYSTEM_CERTIFICATES, SslMode, Tls, TlsVersion
from app.errors import Misconfigured

# Servers require it for TLS without prior negotiation (PostgreSQL manual, 54.2.11).
ALPN_PROTOCOL = "postgresql"
ROOT_CERTIFICATE_FILE = "root.crt"
CERTIFICATE_FILE = "postgresql.crt"
KEY_FILE = "postgresql.key"
REVOCATION_LIST_FILE = "root.crl"
VERSIONS = {
    TlsVersion.TLS_1_0: ssl.TLSVersion.TLSv1,
    TlsVersion.TLS_1_1: ssl.TLSVersion.TLSv1_1,
    TlsVersion.TLS_1_2: ssl.TLSVersion.TLSv1_2,
    TlsVersion.TLS_1_3: ssl.TLSVersion.TLSv1_3,
}


def tls_context(tls: Tls, directory: Path) -> ssl.SSLContext:
    """Returns a new context, since certificate files are replaced while servers run.

    `directory` contains libpq's default files (`~/.postgresql`).

    Raises:
        Misconfigured: names the file that is missing or cannot be used.

    """
    tls = _with_default_files(tls, directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.mode is SslMode.VERIFY_FULL
    context.minimum_version = VERSIONS[tls.minimum]
    if tls.maximum is not None:
        context.maximum_version = VERSIONS[tls.maximum]
    context.set_alpn_protocols([ALPN_PROTOCOL])
    _verify_server(context, tls)
    _offer_certificate(context, tls)
    if tls.key_log is not None:
        with _naming_file("sslkeylogfile", tls.key_log):
            context.keylog_filename = tls.key_log
    return context


def _with_default_files(tls: Tls, directory: Path) -> Tls:
    return replace(
        tls,
        root_certificate=tls.root_certificate or _if_exists(directory / ROOT_CERTIFICATE_FILE),
        certificate=tls.certificate or _if_exists(directory / CERTIFICATE_FILE),
        key=tls.key or _if_exists(directory / KEY_FILE),
        revocation_list=tls.revocation_list or _if_exists(directory / REVOCATION_LIST_FILE),
    )


def _if_exists(path: Path) -> str | None:
    return str(path) if path.exists() else None


def _verify_server(context: ssl.SSLContext, tls: Tls) -> None:
    root = tls.root_certificate
    if root is None and tls.mode is not SslMode.REQUIRE:
        raise Misconfigured(
            f"sslmode={tls.mode.value} needs sslrootcert: the file with the certificate of the"
            " database's CA, or `system` (with verify-full) for the CAs that the system trusts."
        )
    if root is None:
        # Encrypted but not verified: the meaning of `require` without a root certificate.
        context.verify_mode = ssl.CERT_NONE
    elif root == SYSTEM_CERTIFICATES:
        context.load_default_certs()
    else:
        with _naming_file("sslrootcert", root):
            context.load_verify_locations(cafile=root)
    _check_revocation(context, tls)


def _check_revocation(context: ssl.SSLContext, tls: Tls) -> None:
    if tls.revocation_list is not None:
        with _naming_file("sslcrl", tls.revocation_list):
            context.load_verify_locations(cafile=tls.revocation_list)
    if tls.revocation_directory is not None:
        with _naming_file("sslcrldir", tls.revocation_directory):
            context.load_verify_locations(capath=tls.revocation_directory)
    if tls.revocation_list or tls.revocation_directory:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _offer_certificate(context: ssl.SSLContext, tls: Tls) -> None:
    if tls.certificate is None:
        return
    # Without a password, OpenSSL would ask for one on the terminal.
    password = tls.key_password or ""
    with _naming_file("sslcert or sslkey", tls.certificate):
        context.load_cert_chain(tls.certificate, tls.key, lambda: password)


@contextmanager
def _naming_file(parameter: str, path: str) -> Generator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Misconfigured(f"{parameter}: {path} cannot be used: {reason}.") from error
