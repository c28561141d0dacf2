"""The parameters for TLS (`sslmode`, `sslrootcert` and the others)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from app.database.libpq.errors import InvalidDatabaseUrl
from app.database.libpq.hosts import Host
from app.database.libpq.parameters import read_choice

SYSTEM_CERTIFICATES = "system"
# node-postgres uses it for TLS without verification.
NO_VERIFY = "no-verify"


class SslMode(Enum):
    """Whether TLS is used and what is verified, from nothing to everything."""

    DISABLE = "disable"
    ALLOW = "allow"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"

    @property
    def is_mandatory(self) -> bool:
        return self in {SslMode.REQUIRE, SslMode.VERIFY_CA, SslMode.VERIFY_FULL}


class SslNegotiation(Enum):
    POSTGRES = "postgres"
    DIRECT = "direct"


class ChannelBinding(Enum):
    DISABLE = "disable"
    PREFER = "prefer"
    REQUIRE = "require"


class TlsVersion(Enum):
    TLS_1_0 = "TLSv1"
    TLS_1_1 = "TLSv1.1"
    TLS_1_2 = "TLSv1.2"
    TLS_1_3 = "TLSv1.3"


@dataclass(frozen=True, slots=True)
class Tls:
    """How connections over TCP are encrypted. A file that is None is libpq's default file."""

    mode: SslMode = SslMode.PREFER
    direct: bool = False
    root_certificate: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: str | None = field(default=None, repr=False)
    revocation_list: str | None = None
    revocation_directory: str | None = None
    minimum: TlsVersion = TlsVersion.TLS_1_2
    maximum: TlsVersion | None = None
    key_log: str | None = None


def read_tls(given: Mapping[str, str]) -> Tls:
    root = given.get("sslrootcert")
    default = SslMode.VERIFY_FULL if root == SYSTEM_CERTIFICATES else SslMode.PREFER
    if given.get("sslmode") == NO_VERIFY:
        raise InvalidDatabaseUrl(
            "has sslmode=no-verify: use sslmode=require, which verifies the certificate only if"
            " there is a root certificate"
        )
    negotiation = read_choice(given, "sslnegotiation", SslNegotiation.POSTGRES)
    tls = Tls(
        mode=read_choice(given, "sslmode", default),
        direct=negotiation is SslNegotiation.DIRECT,
        root_certificate=root,
        certificate=given.get("sslcert"),
        key=given.get("sslkey"),
        key_password=given.get("sslpassword"),
        revocation_list=given.get("sslcrl"),
        revocation_directory=given.get("sslcrldir"),
        minimum=_read_tls_version(given, "ssl_min_protocol_version") or TlsVersion.TLS_1_2,
        maximum=_read_tls_version(given, "ssl_max_protocol_version"),
        key_log=given.get("sslkeylogfile"),
    )
    return _with_channel_binding(given, tls)


def _with_channel_binding(given: Mapping[str, str], tls: Tls) -> Tls:
    """Replace `channel_binding=require` with `sslmode=verify-full`.

    The driver has no SCRAM-SHA-256-PLUS (RFC 5802, section 6), which proves that the other end of
    the TLS connection is the server itself. Verifying its certificate and host name proves it too.
    """
    binding = read_choice(given, "channel_binding", ChannelBinding.PREFER)
    if binding is not ChannelBinding.REQUIRE:
        return tls
    if tls.mode is SslMode.DISABLE:
        raise InvalidDatabaseUrl("has channel_binding=require, which needs TLS (sslmode)")
    root = tls.root_certificate or SYSTEM_CERTIFICATES
    return replace(tls, mode=SslMode.VERIFY_FULL, root_certificate=root)


def _read_tls_version(given: Mapping[str, str], name: str) -> TlsVersion | None:
    if name not in given:
        return None
    versions = {version.value.lower(): version for version in TlsVersion}
    version = versions.get(given[name].lower())
    if version is None:
        allowed = ", ".join(version.value for version in TlsVersion)
        raise InvalidDatabaseUrl(f"has {name}, which must be one of {allowed}")
    return version


def refuse_unverified_server(given: Mapping[str, str], tls: Tls, hosts: Sequence[Host]) -> None:
    """Refuse combinations that would verify less than they say."""
    if tls.root_certificate == SYSTEM_CERTIFICATES and tls.mode is not SslMode.VERIFY_FULL:
        raise InvalidDatabaseUrl("has sslrootcert=system, which needs sslmode=verify-full")
    if tls.direct and not tls.mode.is_mandatory:
        raise InvalidDatabaseUrl("has sslnegotiation=direct, which needs sslmode=require or more")
    if tls.maximum and _order(tls.maximum) < _order(tls.minimum):
        raise InvalidDatabaseUrl("has ssl_max_protocol_version below ssl_min_protocol_version")
    if tls.mode is SslMode.VERIFY_FULL and {"host", "hostaddr"} <= given.keys():
        raise InvalidDatabaseUrl(
            "has host and hostaddr; sslmode=verify-full works with only one of them"
        )
    bound = given.get("channel_binding") == ChannelBinding.REQUIRE.value
    if bound and any(host.is_socket for host in hosts):
        raise InvalidDatabaseUrl("has channel_binding=require, which is impossible over a socket")


def _order(version: TlsVersion) -> int:
    return list(TlsVersion).index(version)
