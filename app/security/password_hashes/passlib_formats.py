"""The formats that passlib reads and verifies."""

import re
from dataclasses import dataclass
from typing import Any

from app.security.password_hashes.bounds import MAX_OWN_BCRYPT_COST, MAX_PBKDF2_ROUNDS
from app.security.password_hashes.derivations import Exact
from app.security.password_hashes.passlib_handlers import UNREADABLE, handler_of
from app.security.password_hashes.preparations import normalised
from app.security.password_hashes.refusals import DAMAGED, NO_SALT, TOO_MUCH_WORK, Refused

# `{ssha}`: names of schemes are case-insensitive (RFC 2307, section 5.3), and passlib's are not.
SCHEME = re.compile(r"\A\{[A-Za-z0-9-]+\}")
MAX_CRYPT_ROUNDS = 1_000_000


@dataclass(frozen=True)
class PasslibHash(Exact):
    handler: Any
    text: str
    rounds: int
    most_rounds: int
    of_normalised: bool

    def check(self) -> None:
        if self.rounds > self.most_rounds:
            raise Refused(TOO_MUCH_WORK)

    def matches(self, password: str) -> bool:
        secret = normalised(password) if self.of_normalised else password
        try:
            return self.handler.verify(secret, self.text)
        except UNREADABLE:
            return False


@dataclass(frozen=True)
class PasslibFormat:
    """One of passlib's handlers, and how many rounds it may take, as it counts them."""

    name: str
    most_rounds: int = MAX_PBKDF2_ROUNDS
    of_normalised: bool = False

    @property
    def handler(self) -> Any:
        return handler_of(self.name)

    def identify(self, text: str) -> bool:
        return bool(self.handler.identify(_upper_scheme(text)))

    def read(self, text: str) -> PasslibHash:
        known = _upper_scheme(text)
        try:
            parsed = _parsed(self.handler, known)
        except UNREADABLE:
            raise Refused(DAMAGED) from None
        if parsed.checksum is None:
            # Settings for a hash to be made.
            raise Refused(DAMAGED)
        if not getattr(parsed, "salt", None):
            raise Refused(NO_SALT)
        rounds = getattr(parsed, "rounds", None) or 0
        return PasslibHash(self.handler, known, rounds, self.most_rounds, self.of_normalised)


def _upper_scheme(text: str) -> str:
    return SCHEME.sub(lambda scheme: scheme[0].upper(), text)


def _parsed(handler: Any, text: str) -> Any:
    """Read a hash, as strictly as verifying it will."""
    # Those of LDAP wrap the hash of another format, which says how much work it is.
    wrapped = getattr(handler, "wrapped", None)
    if wrapped is None:
        return handler.from_string(text)
    return wrapped.from_string((handler.orig_prefix or "") + text.removeprefix(handler.prefix))


OURS = PasslibFormat("bcrypt_sha256", MAX_OWN_BCRYPT_COST, of_normalised=True)
PASSLIB_FORMATS = (
    OURS,
    PasslibFormat("django_salted_sha1"),
    PasslibFormat("django_salted_md5"),
    # Those in Python alone hold the interpreter lock: they keep others waiting meanwhile, and may
    # take less.
    PasslibFormat("sha512_crypt", MAX_CRYPT_ROUNDS),
    PasslibFormat("sha256_crypt", MAX_CRYPT_ROUNDS),
    PasslibFormat("sha1_crypt", MAX_CRYPT_ROUNDS),
    PasslibFormat("sun_md5_crypt", 100_000),
    PasslibFormat("md5_crypt"),
    PasslibFormat("apr_md5_crypt"),
    PasslibFormat("phpass", 20),
    PasslibFormat("fshp", MAX_CRYPT_ROUNDS),
    PasslibFormat("ldap_sha512_crypt", MAX_CRYPT_ROUNDS),
    PasslibFormat("ldap_sha256_crypt", MAX_CRYPT_ROUNDS),
    PasslibFormat("ldap_sha1_crypt", MAX_CRYPT_ROUNDS),
    PasslibFormat("ldap_md5_crypt"),
    PasslibFormat("ldap_salted_sha512"),
    PasslibFormat("ldap_salted_sha256"),
    PasslibFormat("ldap_salted_sha1"),
    PasslibFormat("ldap_salted_md5"),
    PasslibFormat("grub_pbkdf2_sha512"),
    PasslibFormat("cta_pbkdf2_sha1"),
    PasslibFormat("atlassian_pbkdf2_sha1"),
    PasslibFormat("mssql2005"),
    PasslibFormat("oracle11"),
)
