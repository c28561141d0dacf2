"""The formats that hold a PBKDF2 hash."""

import struct
from collections.abc import Callable

from app.security.password_hashes.derivations import Pbkdf2
from app.security.password_hashes.encodings import from_base64, from_hex, number, settings
from app.security.password_hashes.refusals import DAMAGED, UnusableHash
from app.security.password_hashes.regex_format import BASE64, HEX, Parts, RegexFormat

# `KeyDerivationPrf` of ASP.NET Core.
ASP_NET_DIGESTS = ("sha1", "sha256", "sha512")
ASP_NET_HEADER = struct.Struct(">BIII")
ASP_NET_MIN_SALT_BYTES = 16


def _pbkdf2(parts: Parts) -> Pbkdf2:
    """Parse the form of passlib (rounds only) and PHC strings (`i=…` and optionally `l=…`)."""
    output = from_base64(parts["output"])
    rounds = parts["rounds"]
    if not rounds:
        given = settings(parts["settings"])
        if not {"i"} <= given.keys() <= {"i", "l"}:
            raise UnusableHash(DAMAGED)
        if "l" in given and number(given["l"]) != len(output):
            raise UnusableHash(DAMAGED)
        rounds = given["i"]
    # The default is SHA-1.
    digest = parts["digest"].lower() or "sha1"
    return Pbkdf2(digest, number(rounds), from_base64(parts["salt"]), output)


def _django(parts: Parts) -> Pbkdf2:
    output = from_base64(parts["output"])
    return Pbkdf2(parts["digest"], number(parts["rounds"]), parts["salt"].encode(), output)


def _werkzeug(parts: Parts) -> Pbkdf2:
    output = from_hex(parts["output"])
    return Pbkdf2(parts["digest"], number(parts["rounds"]), parts["salt"].encode(), output)


def _spring(digest: str, rounds: int, salt_bytes: int) -> Callable[[Parts], Pbkdf2]:
    def derive(parts: Parts) -> Pbkdf2:
        content = from_hex(parts["content"])
        if len(content) != salt_bytes + 32:
            raise UnusableHash(
                "was made with other settings than the defaults, and does not name them"
            )
        return Pbkdf2(digest, rounds, content[:salt_bytes], content[salt_bytes:])

    return derive


def _asp_net_2(parts: Parts) -> Pbkdf2:
    content = from_base64(parts["content"])
    return Pbkdf2("sha1", 1000, content[1:17], content[17:])


def _asp_net_3(parts: Parts) -> Pbkdf2:
    content = from_base64(parts["content"])
    if len(content) < ASP_NET_HEADER.size:
        raise UnusableHash(DAMAGED)
    header: tuple[int, int, int, int] = ASP_NET_HEADER.unpack_from(content)
    _, function, rounds, salt_bytes = header
    salt_end = ASP_NET_HEADER.size + salt_bytes
    if function >= len(ASP_NET_DIGESTS) or salt_end > len(content):
        raise UnusableHash(DAMAGED)
    if salt_bytes < ASP_NET_MIN_SALT_BYTES:
        raise UnusableHash(f"has a salt of less than {ASP_NET_MIN_SALT_BYTES} bytes")
    salt = content[ASP_NET_HEADER.size : salt_end]
    return Pbkdf2(ASP_NET_DIGESTS[function], rounds, salt, content[salt_end:])


PBKDF2_FORMATS = (
    RegexFormat(
        "pbkdf2",
        r"\$pbkdf2(?:-[a-z0-9]+)?\$",
        r"\$pbkdf2(?:-(?P<digest>[a-z0-9]+))?\$(?:(?P<rounds>[0-9]+)|(?P<settings>[a-z][^$]*))"
        rf"\$(?P<salt>{BASE64})\$(?P<output>{BASE64})",
        _pbkdf2,
    ),
    RegexFormat(
        "ldap_pbkdf2",
        r"(?i:\{pbkdf2(?:-sha[0-9]+)?\})[^$]*\$",
        r"(?i:\{pbkdf2(?:-(?P<digest>sha[0-9]+))?\})(?P<rounds>[0-9]+)"
        rf"\$(?P<salt>{BASE64})\$(?P<output>{BASE64})",
        _pbkdf2,
    ),
    RegexFormat(
        "django_pbkdf2",
        r"pbkdf2_[a-z0-9]+\$",
        rf"pbkdf2_(?P<digest>[a-z0-9]+)\$(?P<rounds>[0-9]+)\$(?P<salt>[^$]*)\$(?P<output>{BASE64})",
        _django,
    ),
    RegexFormat(
        "werkzeug_pbkdf2",
        r"pbkdf2:",
        rf"pbkdf2:(?P<digest>[a-z0-9]+):(?P<rounds>[0-9]+)\$(?P<salt>[^$]*)\$(?P<output>{HEX})",
        _werkzeug,
    ),
    # `Pbkdf2PasswordEncoder`: salt and output; the prefix says which defaults were used.
    RegexFormat(
        "spring_pbkdf2",
        rf"(?i:\{{pbkdf2\}}){HEX}\Z",
        rf"(?i:\{{pbkdf2\}})(?P<content>{HEX})",
        _spring("sha1", 185_000, 8),
    ),
    RegexFormat(
        "spring_5_8_pbkdf2",
        r"(?i:\{pbkdf2@SpringSecurity_v5_8\})",
        rf"(?i:\{{pbkdf2@SpringSecurity_v5_8\}})(?P<content>{HEX})",
        _spring("sha256", 310_000, 16),
    ),
    # 49 bytes, the first of which is 0: the format has no other mark.
    RegexFormat(
        "asp_net_identity_2",
        r"A[A-P][A-Za-z0-9+/]{63}[AQgw]==\Z",
        r"(?P<content>.*)",
        _asp_net_2,
    ),
    # The byte 1, then the number of the digest in four bytes.
    RegexFormat(
        "asp_net_identity_3",
        rf"AQAAAA{BASE64}\Z",
        r"(?P<content>.*)",
        _asp_net_3,
    ),
)
