"""`DATABASE_URL` is parsed as libpq parses it: compared with libpq itself and with its manual."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.database.libpq.database_url import DatabaseUrl, SessionAttributes, read_database_url
from app.database.libpq.errors import InvalidDatabaseUrl
from app.database.libpq.hosts import Host
from app.database.libpq.options import split_options
from app.database.libpq.parameters import PARAMETERS
from app.database.libpq.tls_parameters import SslMode, Tls, TlsVersion
from app.database.libpq.uri import split_uri
from tests.support import libpq

PART = st.text(st.sampled_from("ab0:@/?#[],=&%+ .é\\'\"")) | st.sampled_from(
    ("%20", "%2Ftmp", "%zz", "%", "%00", "%C3%A9", "%2C", "5432", "[::1]", "[::1", "localhost", "/")
)
NAME = st.sampled_from(sorted(libpq.parameters())) | st.sampled_from(("nonsense", "ssl", ""))
QUERY = st.lists(st.tuples(NAME, PART | st.just("true")).map("=".join), max_size=3).map("&".join)
URI = st.builds(
    "{}{}{}{}{}{}".format,
    st.sampled_from(("postgresql://", "postgres://")),
    st.sampled_from(("", "u@", "u:p@", ":p@", "u:@", "@", "u:p:q@")) | PART,
    st.lists(PART, max_size=3).map(",".join),
    st.sampled_from(("", "/", "/db", ":", ":1")) | PART,
    st.sampled_from(("", "?")),
    QUERY,
)
HOST = Host("h", 5432, "h")
MINIMAL = DatabaseUrl((HOST,), "u", "d")


def refusal_of(uri: str, environment: dict[str, str]) -> str | None:
    try:
        read_database_url(uri, environment)
    except InvalidDatabaseUrl as problem:
        return str(problem)
    return None


def is_utf_8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(URI)
@example("postgresql://%a0")
def test_a_uri_is_split_as_libpq_splits_it(uri: str) -> None:
    try:
        ours = {name: value.encode() for name, value in split_uri(uri).items()}
    except InvalidDatabaseUrl:
        ours = None
    theirs = libpq.parsed(uri.strip())
    # libpq accepts any bytes; Portico needs UTF-8.
    if theirs is not None and not all(map(is_utf_8, theirs.values())):
        theirs = None
    # `ssl` with anything but `true` is asyncpg's spelling, not libpq's.
    if theirs is not None or "ssl=" not in uri:
        assert ours == theirs


@given(
    st.text() | URI, st.dictionaries(st.sampled_from([*filter(None, PARAMETERS.values())]), PART)
)
def test_any_text_is_parsed_or_refused_in_one_line(text: str, environment: dict[str, str]) -> None:
    problem = refusal_of(text, environment)
    assert problem is None or problem.isprintable()
    assert problem is None or problem.startswith(("must ", "has "))


@given(st.sampled_from(sorted(PARAMETERS)), PART)
def test_any_value_of_a_parameter_is_parsed_or_refused_with_its_name(name: str, value: str) -> None:
    query = {name: value.replace("%", "%25").replace("&", "%26").replace("=", "%3D")}
    uri = "postgresql://u:hush@h/d?" + "".join(f"{key}={each}" for key, each in query.items())
    problem = refusal_of(uri, {}) or ""
    assert not problem or name in problem or "null" in problem
    assert "hush" not in problem


def test_every_parameter_of_libpq_is_known_with_its_environment_variable() -> None:
    # A variable that is set for psql must not keep Portico from starting.
    known = {**PARAMETERS, "service": "PGSERVICE"}
    assert libpq.parameters().items() <= known.items()


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("postgresql://u@h/d", MINIMAL),
        (" postgres://u@h/d\n", MINIMAL),
        ("postgresql+asyncpg://u@h/d", MINIMAL),
        ("postgresql+psycopg://u@h/d", MINIMAL),
        ("postgresql+psycopg2://u@h/d", MINIMAL),
        ("postgresql://u@h", DatabaseUrl((HOST,), "u", "u")),
        (
            "postgresql://u:p%40%2F%3F@h/d",
            DatabaseUrl((HOST,), "u", "d", password="p@/?"),
        ),
        (
            "postgresql://u@a:1,b:2/d",
            DatabaseUrl((Host("a", 1, "a"), Host("b", 2, "b")), "u", "d"),
        ),
        (
            "postgresql:///d?user=u&host=a,b&port=1,2",
            DatabaseUrl((Host("a", 1, "a"), Host("b", 2, "b")), "u", "d"),
        ),
        (
            "postgresql://u@/d?host=a,b&port=7",
            DatabaseUrl((Host("a", 7, "a"), Host("b", 7, "b")), "u", "d"),
        ),
        (
            "postgresql://u@[2001:db8::1]:5433,[::1]/d",
            DatabaseUrl(
                (Host("2001:db8::1", 5433, "2001:db8::1"), Host("::1", 5432, "::1")), "u", "d"
            ),
        ),
        (
            "postgresql://u@%2Fvar%2Flib%2Fsock:6000/d",
            DatabaseUrl((Host("/var/lib/sock", 6000, "/var/lib/sock"),), "u", "d"),
        ),
        (
            "postgresql://u@/d?host=/var/run/postgresql",
            DatabaseUrl((Host("/var/run/postgresql", 5432, "localhost"),), "u", "d"),
        ),
        (
            "postgresql://u@/d",
            DatabaseUrl(
                (Host("/var/run/postgresql", 5432, "localhost"), Host("/tmp", 5432, "localhost")),  # noqa: S108
                "u",
                "d",
            ),
        ),
        (
            "postgresql://u@h/d?hostaddr=10.0.0.1",
            DatabaseUrl((Host("10.0.0.1", 5432, "h"),), "u", "d"),
        ),
        (
            (
                "postgresql://u@h/d?application_name=a&options=-c%20x%3D1&connect_timeout=7&passfile=/p"
                "&target_session_attrs=read-write&load_balance_hosts=random"
            ),
            DatabaseUrl(
                (HOST,),
                "u",
                "d",
                application_name="a",
                options="-c x=1",
                connect_seconds=7,
                password_file="/p",
                session=SessionAttributes.READ_WRITE,
                load_balanced=True,
            ),
        ),
        ("postgresql://u@h/d?connect_timeout=0", MINIMAL),
        (
            "postgresql://u@h/d?sslmode=require",
            DatabaseUrl((HOST,), "u", "d", tls=Tls(SslMode.REQUIRE)),
        ),
        ("postgresql://u@h/d?ssl=true", DatabaseUrl((HOST,), "u", "d", tls=Tls(SslMode.REQUIRE))),
        (
            "postgresql+asyncpg://u@h/d?ssl=require",
            DatabaseUrl((HOST,), "u", "d", tls=Tls(SslMode.REQUIRE)),
        ),
        (
            "postgresql://u@h/d?sslrootcert=system",
            DatabaseUrl((HOST,), "u", "d", tls=Tls(SslMode.VERIFY_FULL, root_certificate="system")),
        ),
        (
            (
                "postgresql://u@h/d?sslmode=verify-ca&sslrootcert=/r&sslcert=/c&sslkey=/k&sslpassword=p"
                "&sslcrl=/l&sslcrldir=/ls&ssl_min_protocol_version=tlsv1.3&sslnegotiation=direct"
            ),
            DatabaseUrl(
                (HOST,),
                "u",
                "d",
                tls=Tls(
                    SslMode.VERIFY_CA,
                    direct=True,
                    root_certificate="/r",
                    certificate="/c",
                    key="/k",
                    key_password="p",
                    revocation_list="/l",
                    revocation_directory="/ls",
                    minimum=TlsVersion.TLS_1_3,
                ),
            ),
        ),
        # Neon's and Supabase's URLs: channel binding is not supported, so the server is verified.
        (
            "postgresql://u@h/d?sslmode=require&channel_binding=require",
            DatabaseUrl((HOST,), "u", "d", tls=Tls(SslMode.VERIFY_FULL, root_certificate="system")),
        ),
        (
            (
                "postgresql://u@h/d?channel_binding=prefer&gssencmode=prefer&keepalives=1"
                "&keepalives_idle=30&keepalives_interval=10&keepalives_count=3&tcp_user_timeout=9"
                "&client_encoding=auto&sslcompression=0&sslsni=1&krbsrvname=postgres&gsslib=gssapi"
                "&gssdelegation=0&replication=false&sslcertmode=allow&max_protocol_version=3.2"
                "&min_protocol_version=3.0"
            ),
            MINIMAL,
        ),
    ],
)
def test_urls_of_hosting_providers_are_parsed(uri: str, expected: DatabaseUrl) -> None:
    assert read_database_url(uri, {}) == expected


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("mysql://h/d", "must be a postgresql:// address"),
        ("host=h dbname=d", "must be a postgresql:// address"),
        ("", "must be a postgresql:// address"),
        ("postgresql://u@h/d?nonsense=1", "has an unknown parameter: nonsense"),
        ("'postgresql://u@h/d'", "must be a postgresql:// address, without quotes around it"),
        ('"postgresql://u@h/d"', "must be a postgresql:// address, without quotes around it"),
        (
            "psql 'postgresql://u@h/d'",
            "must be a postgresql:// address alone, without psql before it and without quotes",
        ),
        (
            "postgresql://u@h/d?pgbouncer=true",
            "unknown parameter: pgbouncer (remove it, and set DATABASE_PREPARED_STATEMENTS=false)",
        ),
        (
            "postgresql://u@h/d?statement_cache_size=0",
            "statement_cache_size (remove it, and set DATABASE_PREPARED_STATEMENTS=false)",
        ),
        (
            "postgresql://u@h/d?schema=x",
            "schema (write options=-csearch_path%3D and the name of the schema instead)",
        ),
        ("postgresql://u@h/d?connection_limit=1", "connection_limit (remove it, and set DATABASE"),
        ("postgresql://u@h/d?pool_timeout=1", "has an unknown parameter: pool_timeout (remove it)"),
        ("postgresql://u@h/d?sslmode=no-verify", "has sslmode=no-verify: use sslmode=require"),
        ("postgresql://u@h/d?sslmode", "must have its parameters as name=value"),
        ("postgresql://u:p/w@h/d", "a user or password with one of /?#:@ in it is percent-encoded"),
        ("postgresql://u:100%@h/d", "must have %25 for a % that encodes nothing"),
        ("postgresql://u@h:99999/d", "must have a port from 1 to 65535"),
        ("postgresql://u@[::1/d", "has a [ without an IPv6 address and its ]"),
        ("postgresql://u@a,b,c/d?port=1,2", "as many values of hostaddr and port as of host"),
        ("postgresql://u@h/d?hostaddr=h", "must have IP addresses in hostaddr"),
        ("postgresql://u@h/d?sslmode=on", "has sslmode, which must be one of disable, allow,"),
        ("postgresql://u@h/d?connect_timeout=soon", "must have connect_timeout in seconds"),
        ("postgresql://u@h/d?require_auth=scram-sha-256", "has require_auth, which cannot be enfo"),
        ("postgresql://u@h/d?requirepeer=postgres", "has requirepeer, which cannot be enforced"),
        ("postgresql://u@h/d?gssencmode=require", "has gssencmode, which must be disable or pref"),
        ("postgresql://u@h/d?sslcertmode=require", "has sslcertmode, which must be allow"),
        ("postgresql://u@h/d?service=mine", "has service, which is not read from a service file"),
        ("postgresql://u@h/d?oauth_issuer=x", "has oauth_issuer, which cannot be used"),
        ("postgresql://u@h/d?replication=database", "has replication, which cannot be used"),
        ("postgresql://u@h/d?min_protocol_version=3.2", "has min_protocol_version, which must be "),
        (
            "postgresql://u@h/d?sslmode=disable&channel_binding=require",
            "has channel_binding=require, which needs TLS",
        ),
        (
            "postgresql://u@/d?channel_binding=require",
            "has channel_binding=require, which is impossible over a socket",
        ),
        (
            "postgresql://u@h/d?sslrootcert=system&sslmode=require",
            "has sslrootcert=system, which needs sslmode=verify-full",
        ),
        ("postgresql://u@h/d?sslnegotiation=direct", "has sslnegotiation=direct, which needs"),
        (
            "postgresql://u@h/d?hostaddr=::1&sslmode=verify-full",
            "has host and hostaddr; sslmode=verify-full works with only one of them",
        ),
    ],
)
def test_an_invalid_url_is_refused_with_a_message_that_names_the_parameter(
    uri: str, message: str
) -> None:
    with pytest.raises(InvalidDatabaseUrl) as refused:
        read_database_url(uri, {})
    assert message in str(refused.value)


def test_missing_parameters_come_from_the_environment_variables_of_libpq() -> None:
    environment = {
        "PGHOST": "elsewhere",
        "PGPORT": "6000",
        "PGUSER": "u",
        "PGPASSWORD": "p",
        "PGDATABASE": "d",
        "PGSSLMODE": "require",
        "PGAPPNAME": "a",
    }
    assert read_database_url("postgresql://", environment) == DatabaseUrl(
        (Host("elsewhere", 6000, "elsewhere"),),
        "u",
        "d",
        password="p",
        application_name="a",
        tls=Tls(SslMode.REQUIRE),
    )
    assert read_database_url(
        "postgresql://v:q@h:1/e?sslmode=prefer&application_name=b", environment
    ) == (DatabaseUrl((Host("h", 1, "h"),), "v", "e", password="q", application_name="b"))


def test_a_password_is_not_in_the_repr() -> None:
    assert "hush" not in repr(read_database_url("postgresql://u:hush@h/d?sslpassword=hush", {}))


@pytest.mark.parametrize(
    ("options", "settings", "others"),
    [
        ("-c a=1 -cb=2 --c-d=3", {"a": "1", "b": "2", "c_d": "3"}, []),
        (r"-c search_path=one,\ two", {"search_path": "one, two"}, []),
        ("-c a=1 endpoint=ep-x", {"a": "1"}, ["endpoint=ep-x"]),
        ("-c", {}, ["-c"]),
        ("", {}, []),
    ],
)
def test_options_are_split_into_settings_and_words_for_the_pooler(
    options: str, settings: dict[str, str], others: list[str]
) -> None:
    assert split_options(options) == (settings, others)
