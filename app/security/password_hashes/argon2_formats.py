"""The formats that hold an Argon2 hash: PHC strings, plain or of Django, LDAP, Spring Security."""

from argon2.low_level import Type

from app.security.password_hashes.derivations import Argon2
from app.security.password_hashes.encodings import from_base64, number, settings
from app.security.password_hashes.refusals import DAMAGED, UnusableHash
from app.security.password_hashes.regex_format import BASE64, Parts, RegexFormat

VARIANTS = {"argon2i": Type.I, "argon2d": Type.D, "argon2id": Type.ID}
# The version of hashes that do not name one.
DEFAULT_VERSION = "16"


def _argon2(parts: Parts) -> Argon2:
    given = settings(parts["settings"])
    if not {"m", "t", "p"} <= given.keys():
        raise UnusableHash(DAMAGED)
    if len(given) > 3:
        # A secret key or associated data (RFC 9106, section 3.1).
        raise UnusableHash("needs more to be verified than a password and a salt")
    return Argon2(
        VARIANTS[parts["variant"]],
        number(parts["version"] or DEFAULT_VERSION),
        number(given["m"]),
        number(given["t"]),
        number(given["p"]),
        from_base64(parts["salt"]),
        from_base64(parts["output"]),
    )


def _format(name: str, prefix: str) -> RegexFormat:
    return RegexFormat(
        name,
        prefix + r"\$argon2",
        prefix + r"\$(?P<variant>argon2(?:i|d|id))\$(?:v=(?P<version>[0-9]+)\$)?"
        rf"(?P<settings>[^$]*)\$(?P<salt>{BASE64})\$(?P<output>{BASE64})",
        _argon2,
    )


ARGON2_FORMATS = (
    _format("argon2", ""),
    _format("django_argon2", "argon2"),
    _format("braced_argon2", r"(?i:\{argon2(?:@SpringSecurity_v5_8)?\})"),
)
