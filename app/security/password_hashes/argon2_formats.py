"""The formats that hold an Argon2 hash: PHC strings, bare, of Django, LDAP and Spring Security."""

from argon2.low_level import Type

from app.security.password_hashes.derivations import Argon2
from app.security.password_hashes.encodings import from_base64, number, settings
from app.security.password_hashes.refusals import DAMAGED, Refused
from app.security.password_hashes.spellings import BASE64, Parts, Spelling

VARIANTS = {"argon2i": Type.I, "argon2d": Type.D, "argon2id": Type.ID}
# What a text means that names none.
FIRST_VERSION = "16"


def _argon2(parts: Parts) -> Argon2:
    given = settings(parts["settings"])
    if not {"m", "t", "p"} <= given.keys():
        raise Refused(DAMAGED)
    if len(given) > 3:
        # A secret key or associated data (RFC 9106, section 3.1).
        raise Refused("needs more to be verified than a password and a salt")
    return Argon2(
        VARIANTS[parts["variant"]],
        number(parts["version"] or FIRST_VERSION),
        number(given["m"]),
        number(given["t"]),
        number(given["p"]),
        from_base64(parts["salt"]),
        from_base64(parts["output"]),
    )


def _format(name: str, prefix: str) -> Spelling:
    return Spelling(
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
