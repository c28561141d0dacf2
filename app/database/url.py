"""Reads `DATABASE_URL` as libpq reads a connection URI (PostgreSQL manual, 34.1.1.2 and 34.1.2)."""

import os
import pwd
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import unquote_to_bytes

DEFAULT_PORT = "5432"
MAX_PORT = 65535
MAX_SECONDS = 86_400
# Of a socket's path, by sockaddr_un(7), and what its name adds to its directory.
MAX_SOCKET_PATH = 107
SOCKET_NAME = "/.s.PGSQL.{port}"
# Where Debian's packages and PostgreSQL's own build put the socket.
SOCKET_DIRECTORIES = ("/var/run/postgresql", "/tmp")  # noqa: S108 - where PostgreSQL listens
SYSTEM = "system"

SCHEME = re.compile(r"postgres(?:ql)?(?:\+(?:asyncpg|psycopg|psycopg2))?://")
# The password ends at the first @, and there is none where a / comes before it.
CREDENTIALS = re.compile(r"([^:@/]*)(?::([^@/]*))?@")
HOST = re.compile(r"(?:\[([^\]]+)\]|(?!\[)([^:/?,]*))(?::([^/?,]*))?(?=[/?,]|\Z)")
NOT_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})")
NUMBER = re.compile(r"\s*([+-]?\d{1,9})\s*")
WORD = re.compile(r"(?:\\.|[^\\\s])+", re.DOTALL)
SETTING = re.compile(r"(?:-c|--)([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)
PRINTABLE_NAME = re.compile(r"[\w.-]{1,63}")

Choice = TypeVar("Choice", bound=Enum)


class InvalidDatabaseUrl(ValueError):
    """What is wrong, as the end of a sentence that begins with the name of the setting.

    It names parameters and quotes no values, which may be parts of a password.
    """


class SslMode(Enum):
    """How much TLS proves, from nothing to everything."""

    DISABLE = "disable"
    ALLOW = "allow"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"

    @property
    def is_mandatory(self) -> bool:
        return self in {SslMode.REQUIRE, SslMode.VERIFY_CA, SslMode.VERIFY_FULL}


class SessionAttributes(Enum):
    """Which of several hosts will do."""

    ANY = "any"
    READ_WRITE = "read-write"
    READ_ONLY = "read-only"
    PRIMARY = "primary"
    STANDBY = "standby"
    PREFER_STANDBY = "prefer-standby"


class Balancing(Enum):
    DISABLE = "disable"
    RANDOM = "random"


class Negotiation(Enum):
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
    """How connections over TCP are encrypted. Paths are as given; None: libpq's default file."""

    mode: SslMode = SslMode.PREFER
    direct: bool = False
    root_certificate: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: str | None = field(default=None, repr=False)
    revoked: str | None = None
    revoked_directory: str | None = None
    minimum: TlsVersion = TlsVersion.TLS_1_2
    maximum: TlsVersion | None = None
    key_log: str | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """One place to connect to: a name, an IP address, or a directory with a socket.

    `name` is what a password file calls it.
    """

    address: str
    port: int
    name: str

    @property
    def is_socket(self) -> bool:
        return self.address.startswith("/")


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """What a connection needs to know. `connect_seconds` is for each host."""

    hosts: tuple[Host, ...]
    user: str
    database: str
    password: str | None = field(default=None, repr=False)
    password_file: str | None = None
    application_name: str | None = None
    options: str | None = None
    connect_seconds: int | None = None
    session: SessionAttributes = SessionAttributes.ANY
    balanced: bool = False
    tls: Tls = Tls()


# Each parameter of libpq 18 and the environment variable that stands in for it. What follows is
# taken over where `read` uses it, and refused where REFUSED says so; the rest is left out, because
# nothing becomes less safe by it.
PARAMETERS: Mapping[str, str | None] = {
    "application_name": "PGAPPNAME",
    "channel_binding": "PGCHANNELBINDING",
    "client_encoding": "PGCLIENTENCODING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "dbname": "PGDATABASE",
    "fallback_application_name": None,
    "gssdelegation": "PGGSSDELEGATION",
    "gssencmode": "PGGSSENCMODE",
    "gsslib": "PGGSSLIB",
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "keepalives": None,
    "keepalives_count": None,
    "keepalives_idle": None,
    "keepalives_interval": None,
    "krbsrvname": "PGKRBSRVNAME",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "max_protocol_version": "PGMAXPROTOCOLVERSION",
    "min_protocol_version": "PGMINPROTOCOLVERSION",
    "oauth_client_id": None,
    "oauth_client_secret": None,
    "oauth_issuer": None,
    "oauth_scope": None,
    "options": "PGOPTIONS",
    "passfile": "PGPASSFILE",
    "password": "PGPASSWORD",
    "port": "PGPORT",
    "replication": None,
    "require_auth": "PGREQUIREAUTH",
    "requirepeer": "PGREQUIREPEER",
    "scram_client_key": None,
    "scram_server_key": None,
    "service": None,
    "servicefile": None,
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "sslcert": "PGSSLCERT",
    "sslcertmode": "PGSSLCERTMODE",
    "sslcompression": "PGSSLCOMPRESSION",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslkey": "PGSSLKEY",
    "sslkeylogfile": None,
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslpassword": None,
    "sslrootcert": "PGSSLROOTCERT",
    "sslsni": "PGSSLSNI",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "tcp_user_timeout": None,
    "user": "PGUSER",
}

# What the driver cannot do: the values that ask for nothing else, and what to do instead.
NO_SERVICE = "is not read from a service file: write its parameters here"
NO_OAUTH = "cannot be used: Portico signs in to the database with a password or a certificate"
NO_KEYS = "cannot be used: set the password"
REFUSED: Mapping[str, tuple[frozenset[str], str]] = {
    "gssencmode": (
        frozenset({"disable", "prefer"}),
        "must be disable or prefer: there is no GSSAPI encryption, use TLS (sslmode)",
    ),
    "min_protocol_version": (frozenset({"3.0"}), "must be 3.0, the version that is spoken"),
    "oauth_client_id": (frozenset(), NO_OAUTH),
    "oauth_client_secret": (frozenset(), NO_OAUTH),
    "oauth_issuer": (frozenset(), NO_OAUTH),
    "oauth_scope": (frozenset(), NO_OAUTH),
    "replication": (
        frozenset({"false", "off", "no", "0"}),
        "cannot be used: Portico needs an ordinary connection",
    ),
    "require_auth": (
        frozenset(),
        "cannot be enforced: use sslmode=verify-full, which proves who the server is",
    ),
    "requirepeer": (frozenset(), "cannot be enforced: rely on the rights of the socket directory"),
    "scram_client_key": (frozenset(), NO_KEYS),
    "scram_server_key": (frozenset(), NO_KEYS),
    "service": (frozenset(), NO_SERVICE),
    "servicefile": (frozenset(), NO_SERVICE),
    "sslcertmode": (frozenset({"allow"}), "must be allow: anything else cannot be enforced"),
    "sslsni": (frozenset({"1"}), "must be 1: the server's name is always sent"),
}
# What other programs read from the same URL: libpq does not know it, and what to do instead.
REMOVE = "remove it"
FOREIGN: Mapping[str, str] = {
    "connection_limit": f"{REMOVE}, and set DATABASE_POOL_SIZE",
    "pgbouncer": f"{REMOVE}, and set DATABASE_PREPARED_STATEMENTS=false",
    "pool_timeout": REMOVE,
    "prepared_statement_cache_size": f"{REMOVE}, and set DATABASE_PREPARED_STATEMENTS=false",
    "schema": "write options=-csearch_path%3D and the name of the schema instead",
    "statement_cache_size": f"{REMOVE}, and set DATABASE_PREPARED_STATEMENTS=false",
}
# node-postgres has it for TLS that proves nothing.
NO_VERIFY = "no-verify"
QUOTES = ("'", '"', "`")


def read(text: str, environment: Mapping[str, str]) -> DatabaseUrl:
    """Read a URI; what it leaves out comes from libpq's environment variables, then its defaults.

    Raises:
        InvalidDatabaseUrl: it is no such URI, or asks for what cannot be had.

    """
    given = _with_environment(parameters_of(text), environment)
    _refuse_what_cannot_be_had(given)
    user = given.get("user") or _system_user()
    url = DatabaseUrl(
        hosts=tuple(_hosts(given)),
        user=user,
        database=given.get("dbname", user),
        password=given.get("password"),
        password_file=given.get("passfile"),
        application_name=given.get("application_name", given.get("fallback_application_name")),
        options=given.get("options"),
        connect_seconds=_seconds(given),
        session=_chosen(given, "target_session_attrs", SessionAttributes.ANY),
        balanced=_chosen(given, "load_balance_hosts", Balancing.DISABLE) is Balancing.RANDOM,
        tls=_tls(given),
    )
    _refuse_unproved_server(given, url)
    return url


def parameters_of(text: str) -> dict[str, str]:
    """Take a URI apart into libpq's parameters, as they are written. Values may be empty.

    Raises:
        InvalidDatabaseUrl: it is no such URI.

    """
    text = text.strip()
    scheme = SCHEME.match(text)
    if scheme is None:
        raise InvalidDatabaseUrl(f"must be a postgresql:// address{_pasted(text)}")
    rest = text[scheme.end() :]
    found: dict[str, str] = {}
    credentials = CREDENTIALS.match(rest)
    if credentials is not None:
        found = {"user": credentials[1], "password": credentials[2] or ""}
        rest = rest[credentials.end() :]
    hosts, ports, rest = _authority(rest)
    path, _, query = rest.partition("?")
    found |= {"host": ",".join(hosts), "port": ",".join(ports), "dbname": path[1:]}
    return {name: _decoded(value) for name, value in found.items() if value} | dict(_query(query))


def settings_of(options: str) -> tuple[dict[str, str], list[str]]:
    """Take `options` apart into settings (`-c name=value`, `--name=value`) and the other words.

    As the server does: words end at white space, and a backslash takes the next character as it is.
    """
    settings: dict[str, str] = {}
    others: list[str] = []
    words = iter(WORD.findall(options))
    for word in words:
        whole = word + next(words, "") if word == "-c" else word
        setting = SETTING.fullmatch(re.sub(r"\\(.)", r"\1", whole, flags=re.DOTALL))
        if setting is None:
            others.append(word)
        else:
            settings[setting[1].replace("-", "_")] = setting[2]
    return settings, others


def _pasted(text: str) -> str:
    """Say what was copied along with an address."""
    command = re.match(r"psql\s+", text)
    if command is not None:
        return " alone, without psql before it and without quotes"
    return ", without quotes around it" if text.startswith(QUOTES) else ""


def _authority(rest: str) -> tuple[list[str], list[str], str]:
    """Give the hosts, their ports, and what comes after them."""
    hosts: list[str] = []
    ports: list[str] = []
    while True:
        found = HOST.match(rest)
        if found is None:
            raise InvalidDatabaseUrl("has a [ without an IPv6 address and its ]")
        hosts.append(found[1] or found[2] or "")
        ports.append(found[3] or "")
        rest = rest[found.end() :]
        if not rest.startswith(","):
            return hosts, ports, rest
        rest = rest[1:]


def _query(query: str) -> Iterator[tuple[str, str]]:
    pairs = query.split("&") if query else []
    if len(pairs) > 1 and not pairs[-1]:
        pairs.pop()
    for pair in pairs:
        if pair.count("=") != 1:
            raise InvalidDatabaseUrl("must have its parameters as name=value, with & between them")
        name, _, value = pair.partition("=")
        yield _known(_decoded(name), _decoded(value))


def _known(name: str, value: str) -> tuple[str, str]:
    """Give a parameter under its own name, if it has one."""
    if name == "requiressl":
        return "sslmode", "require" if value.startswith("1") else "prefer"
    if name == "ssl":
        # JDBC's spelling, which libpq takes too; with a mode it is asyncpg's.
        return "sslmode", "require" if value == "true" else value
    if name not in PARAMETERS:
        quoted = f": {name}" if PRINTABLE_NAME.fullmatch(name) else ""
        advice = f" ({FOREIGN[name]})" if name in FOREIGN else ""
        raise InvalidDatabaseUrl(f"has an unknown parameter{quoted}{advice}")
    return name, value


def _decoded(text: str) -> str:
    if NOT_ENCODED.search(text):
        raise InvalidDatabaseUrl("must have %25 for a % that encodes nothing")
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeError:
        raise InvalidDatabaseUrl("must be UTF-8") from None
    if "\0" in decoded:
        raise InvalidDatabaseUrl("must not have null characters")
    return decoded


def _with_environment(given: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    variables = {name: environment.get(variable or "") for name, variable in PARAMETERS.items()}
    surrounding = {name: value for name, value in variables.items() if value}
    return surrounding | {name: value for name, value in given.items() if value}


def _refuse_what_cannot_be_had(given: Mapping[str, str]) -> None:
    for name, (allowed, reason) in REFUSED.items():
        if name in given and given[name] not in allowed:
            raise InvalidDatabaseUrl(f"has {name}, which {reason}")


def _system_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise InvalidDatabaseUrl("must name a user: the system has no name for its own") from None


def _hosts(given: Mapping[str, str]) -> Iterator[Host]:
    names = given.get("host", "").split(",")
    addresses = given["hostaddr"].split(",") if "hostaddr" in given else [""] * len(names)
    if "host" not in given:
        names = [""] * len(addresses)
    ports = given.get("port", DEFAULT_PORT).split(",")
    if len(ports) == 1:
        ports *= len(names)
    if not len(names) == len(addresses) == len(ports):
        raise InvalidDatabaseUrl("must have as many values of hostaddr and port as of host")
    for name, address, port in zip(names, addresses, ports, strict=True):
        yield from _places(name, address, _port(port or DEFAULT_PORT))


def _port(text: str) -> int:
    number = NUMBER.fullmatch(text)
    if number is None or not 1 <= int(number[1]) <= MAX_PORT:
        raise InvalidDatabaseUrl(
            f"must have a port from 1 to {MAX_PORT}; a user or password with one of /?#:@ in it is"
            " percent-encoded"
        )
    return int(number[1])


def _places(name: str, address: str, port: int) -> Iterator[Host]:
    if address:
        yield Host(_ip_address(address), port, name or address)
    elif not name:
        yield from (Host(directory, port, "localhost") for directory in SOCKET_DIRECTORIES)
    elif name.startswith("/"):
        _refuse_long_path(name, port)
        yield Host(name, port, "localhost" if name in SOCKET_DIRECTORIES else name)
    else:
        yield Host(_host_name(name), port, name)


def _ip_address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise InvalidDatabaseUrl("must have IP addresses in hostaddr") from None


def _host_name(text: str) -> str:
    try:
        encoded = text.encode("idna")
    except UnicodeError:
        encoded = b""
    if not encoded or text.startswith("@"):
        raise InvalidDatabaseUrl("must have host names, IP addresses or directories as its hosts")
    return text


def _refuse_long_path(directory: str, port: int) -> None:
    path = directory + SOCKET_NAME.format(port=port)
    if len(path.encode()) > MAX_SOCKET_PATH:
        raise InvalidDatabaseUrl("has a socket directory whose path is too long")


def _seconds(given: Mapping[str, str]) -> int | None:
    """Give the limit; None for libpq's "wait for ever" too, since requests would."""
    if "connect_timeout" not in given:
        return None
    number = NUMBER.fullmatch(given["connect_timeout"])
    if number is None or int(number[1]) > MAX_SECONDS:
        raise InvalidDatabaseUrl(f"must have connect_timeout in seconds, at most {MAX_SECONDS}")
    return max(0, int(number[1])) or None


def _chosen(given: Mapping[str, str], name: str, default: Choice) -> Choice:
    kind = type(default)
    try:
        return kind(given[name]) if name in given else default
    except ValueError:
        allowed = ", ".join(str(choice.value) for choice in kind)
        raise InvalidDatabaseUrl(f"has {name}, which must be one of {allowed}") from None


def _tls(given: Mapping[str, str]) -> Tls:
    root = given.get("sslrootcert")
    default = SslMode.VERIFY_FULL if root == SYSTEM else SslMode.PREFER
    if given.get("sslmode") == NO_VERIFY:
        raise InvalidDatabaseUrl(
            "has sslmode=no-verify: write require, which encrypts and verifies no certificate"
            " unless there is a root certificate"
        )
    negotiation = _chosen(given, "sslnegotiation", Negotiation.POSTGRES)
    tls = Tls(
        mode=_chosen(given, "sslmode", default),
        direct=negotiation is Negotiation.DIRECT,
        root_certificate=root,
        certificate=given.get("sslcert"),
        key=given.get("sslkey"),
        key_password=given.get("sslpassword"),
        revoked=given.get("sslcrl"),
        revoked_directory=given.get("sslcrldir"),
        minimum=_version(given, "ssl_min_protocol_version") or TlsVersion.TLS_1_2,
        maximum=_version(given, "ssl_max_protocol_version"),
        key_log=given.get("sslkeylogfile"),
    )
    return _bound(given, tls)


def _bound(given: Mapping[str, str], tls: Tls) -> Tls:
    """Have the certificate and the name of the server verified instead of binding the channel.

    The driver has no SCRAM-SHA-256-PLUS (RFC 5802, section 6). What that proves, that the other end
    of TLS is the server itself, a certificate proves too.
    """
    binding = _chosen(given, "channel_binding", ChannelBinding.PREFER)
    if binding is not ChannelBinding.REQUIRE:
        return tls
    if tls.mode is SslMode.DISABLE:
        raise InvalidDatabaseUrl("has channel_binding=require, which needs TLS (sslmode)")
    root = tls.root_certificate or SYSTEM
    return replace(tls, mode=SslMode.VERIFY_FULL, root_certificate=root)


def _version(given: Mapping[str, str], name: str) -> TlsVersion | None:
    if name not in given:
        return None
    versions = {version.value.lower(): version for version in TlsVersion}
    version = versions.get(given[name].lower())
    if version is None:
        allowed = ", ".join(version.value for version in TlsVersion)
        raise InvalidDatabaseUrl(f"has {name}, which must be one of {allowed}")
    return version


def _refuse_unproved_server(given: Mapping[str, str], url: DatabaseUrl) -> None:
    """Refuse what would prove less than it says."""
    tls = url.tls
    if tls.root_certificate == SYSTEM and tls.mode is not SslMode.VERIFY_FULL:
        raise InvalidDatabaseUrl("has sslrootcert=system, which needs sslmode=verify-full")
    if tls.direct and not tls.mode.is_mandatory:
        raise InvalidDatabaseUrl("has sslnegotiation=direct, which needs sslmode=require or more")
    if tls.maximum and _order(tls.maximum) < _order(tls.minimum):
        raise InvalidDatabaseUrl("has ssl_max_protocol_version below ssl_min_protocol_version")
    if tls.mode is SslMode.VERIFY_FULL and {"host", "hostaddr"} <= given.keys():
        raise InvalidDatabaseUrl(
            "has host and hostaddr, of which sslmode=verify-full can have only one"
        )
    bound = given.get("channel_binding") == ChannelBinding.REQUIRE.value
    if bound and any(host.is_socket for host in url.hosts):
        raise InvalidDatabaseUrl("has channel_binding=require, which a socket cannot have")


def _order(version: TlsVersion) -> int:
    return list(TlsVersion).index(version)
