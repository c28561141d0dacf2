"""The formats that hold a bcrypt hash: plain bcrypt, Django, LDAP, Spring Security, WordPress."""

from collections.abc import Callable

from app.security.password_hashes.derivations import Bcrypt
from app.security.password_hashes.passlib_handlers import bcrypt64
from app.security.password_hashes.preparations import (
    CUT_TO_72_BYTES,
    DJANGO_SHA256,
    WORDPRESS_HMAC,
    Preparation,
)
from app.security.password_hashes.refusals import UnusableHash
from app.security.password_hashes.regex_format import Parts, RegexFormat

HASH = (
    r"\$(?P<version>2[abxy]?)\$(?P<cost>[0-9]{2})"
    r"\$(?P<salt>[./A-Za-z0-9]{22})(?P<output>[./A-Za-z0-9]{31})"
)


def _bcrypt(preparation: Preparation) -> Callable[[Parts], Bcrypt]:
    def derive(parts: Parts) -> Bcrypt:
        if parts["version"] == "2x":
            raise UnusableHash(
                "was made by a version of bcrypt with a bug for non-ASCII characters"
            )
        # Some old libraries set unused bits in the last character.
        salt: str = bcrypt64.repair_unused(parts["salt"])
        output: str = bcrypt64.repair_unused(parts["output"])
        return Bcrypt(f"${parts['version']}${parts['cost']}${salt}{output}", preparation)

    return derive


def _format(name: str, prefix: str, preparation: Preparation) -> RegexFormat:
    return RegexFormat(name, prefix + r"\$2[abxy]?\$", prefix + HASH, _bcrypt(preparation))


BCRYPT_FORMATS = (
    _format("bcrypt", "", CUT_TO_72_BYTES),
    _format("django_bcrypt", r"bcrypt\$", CUT_TO_72_BYTES),
    _format("django_bcrypt_sha256", r"bcrypt_sha256\$", DJANGO_SHA256),
    _format("ldap_bcrypt", r"(?i:\{crypt\})", CUT_TO_72_BYTES),
    _format("spring_bcrypt", r"(?i:\{bcrypt\})", CUT_TO_72_BYTES),
    _format("wordpress", r"\$wp", WORDPRESS_HMAC),
)
