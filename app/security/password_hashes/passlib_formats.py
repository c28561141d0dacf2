"""The formats that passlib reads and verifies."""

import re
from dataclasses import dataclass
from typing import Any

from app.security.password_hashes.bounds import MAX_OWN_BCRYPT_COST, MAX_PBKDF2_ROUNDS
from app.security.password_hashes.derivations import WholePassword
from app.security.password_hashes.passlib_handlers import UNREADABLE, handler_of
from app.security.password_hashes.preparations import normalised
from app.security.password_hashes.refusals import DAMAGED, NO_SALT, TOO_MUCH_WORK, UnusableHash

# `{ssha}`: schemes are case-insensitive (RFC 2307, section 5.3), but passlib expects upper case.
SCHEME = re.compile(r"\A\{[A-Za-z0-9-]+\}")
MAX_CRYPT_ROUNDS = 1_000_000


@dataclass(frozen=True)
class PasslibHash(WholePassword):
    handler: Any
    text: str
    rounds: int
    max_rounds: int
    normalises: bool

    def check(self) -> None:
        if self.rounds > self.max_rounds:
            raise UnusableHash(TOO_MUCH_WORK)

    def matches(self, password: str) -> bool:
        secret = normalised(password) if self.normalises else password
        try:
            return self.handler.verify(secret, self.text)
        except UNREADABLE:
            return False


@dataclass(frozen=True)
class PasslibFormat:
    """A handler of passlib, and the maximum of its rounds, in the handler's own unit."""

    name: str
    max_rounds: int = MAX_PBKDF2_ROUNDS
    normalises: bool = False

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
            raise UnusableHash(DAMAGED) from None
        if parsed.checksum is None:
            # Settings for a new hash, without a hash.
            raise UnusableHash(DAMAGED)
        if not getattr(parsed, "salt", None):
            raise UnusableHash(NO_SALT)
        rounds = getattr(parsed, "rounds", None) or 0
        return PasslibHash(self.handler, known, rounds, self.max_rounds, self.normalises)


def _upper_scheme(text: str) -> str:
    return SCHEME.sub(lambda scheme: scheme[0].upper(), text)


def _parsed(handler: Any, text: str) -> Any:
    """Parse a hash as strictly as verifying it does."""
    # LDAP handlers wrap another format, which knows the number of rounds.
    wrapped = getattr(handler, "wrapped", None)
    if wrapped is None:
        return handler.from_string(text)
    return wrapped.from_string((handler.orig_prefix or "") + text.removeprefix(handler.prefix))


OWN_FORMAT = PasslibFormat("bcrypt_sha256", MAX_OWN_BCRYPT_COST, normalises=True)
PASSLIB_FORMATS = (
    OWN_FORMAT,
    PasslibFormat("django_salted_sha1"),
    PasslibFormat("django_salted_md5"),
    # Handlers in pure Python hold the interpreter lock and block other threads, so they may do
    # less work.
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
