"""The hosts of a connection: host names, IP addresses and socket directories."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from app.database.libpq.errors import InvalidDatabaseUrl
from app.database.libpq.parameters import INTEGER

DEFAULT_PORT = "5432"
MAX_PORT = 65535
# The longest socket path, in bytes (unix(7)), and the name of the socket in its directory.
MAX_SOCKET_PATH = 107
SOCKET_NAME = "/.s.PGSQL.{port}"
# Where Debian's packages and PostgreSQL's own build put the socket.
SOCKET_DIRECTORIES = ("/var/run/postgresql", "/tmp")  # noqa: S108 - where PostgreSQL listens


@dataclass(frozen=True, slots=True)
class Host:
    """One address to connect to: a host name, an IP address, or a directory with a socket.

    `name` is the host name in a password file.
    """

    address: str
    port: int
    name: str

    @property
    def is_socket(self) -> bool:
        return self.address.startswith("/")


def read_hosts(given: Mapping[str, str]) -> Iterator[Host]:
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
        yield from _hosts_of(name, address, _read_port(port or DEFAULT_PORT))


def _read_port(text: str) -> int:
    number = INTEGER.fullmatch(text)
    if number is None or not 1 <= int(number[1]) <= MAX_PORT:
        raise InvalidDatabaseUrl(
            f"must have a port from 1 to {MAX_PORT}; a user or password with one of /?#:@ in it is"
            " percent-encoded"
        )
    return int(number[1])


def _hosts_of(name: str, address: str, port: int) -> Iterator[Host]:
    if address:
        yield Host(_read_ip_address(address), port, name or address)
    elif not name:
        yield from (Host(directory, port, "localhost") for directory in SOCKET_DIRECTORIES)
    elif name.startswith("/"):
        _refuse_long_path(name, port)
        yield Host(name, port, "localhost" if name in SOCKET_DIRECTORIES else name)
    else:
        yield Host(_read_host_name(name), port, name)


def _read_ip_address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise InvalidDatabaseUrl("must have IP addresses in hostaddr") from None


def _read_host_name(text: str) -> str:
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
