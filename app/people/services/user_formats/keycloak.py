"""Keycloak: the users of a realm, as `kc.sh export` writes them."""

from collections.abc import Mapping
from typing import Any, cast

import orjson

from app.people.services.user_formats.fields import (
    UNREADABLE_HASH,
    Fields,
    UnusableRecord,
    decoded,
    flag,
    identity,
    joined,
    member,
    objects,
    unpadded,
)

PBKDF2 = {
    "pbkdf2": "pbkdf2-sha1",
    "pbkdf2-sha256": "pbkdf2-sha256",
    "pbkdf2-sha512": "pbkdf2-sha512",
}
ARGON2_TYPES = frozenset({"i", "d", "id"})
ARGON2_VERSIONS = {"1.0": 16, "1.3": 19}


def person(record: Mapping[str, Any]) -> Fields:
    if record.get("serviceAccountClientId"):
        raise UnusableRecord("is a service account")
    enabled = record.get("enabled", True)
    return {
        **identity(record.get("id")),
        "email": record.get("email"),
        "emailVerified": flag(record.get("emailVerified")),
        "displayName": joined(record.get("firstName"), record.get("lastName")),
        "createdAt": record.get("createdTimestamp"),
        "suspension": None if flag(enabled) else {"reason": "Disabled in Keycloak"},
        "passwordHash": _password_hash(record),
    }


def _password_hash(record: Mapping[str, Any]) -> str | None:
    for credential in objects(record.get("credentials")):
        if credential.get("type") == "password":
            data, secret = _parsed(credential, "credentialData"), _parsed(credential, "secretData")
            return _encoded(data, secret) or UNREADABLE_HASH
    return None


def _parsed(credential: Mapping[str, Any], name: str) -> Any:
    """Returns an object that the export has as JSON in a string."""
    text = credential.get(name)
    try:
        return orjson.loads(text) if isinstance(text, str) else None
    except orjson.JSONDecodeError:
        return None


def _encoded(data: Any, secret: Any) -> str | None:
    """Returns a credential as a PHC string; None if its algorithm is unknown, or it is invalid."""
    algorithm, rounds = member(data, "algorithm"), member(data, "hashIterations")
    salt, digest = decoded(member(secret, "salt")), decoded(member(secret, "value"))
    if salt is None or digest is None or not isinstance(rounds, int):
        return None
    ending = f"${unpadded(salt)}${unpadded(digest)}"
    if isinstance(algorithm, str) and algorithm in PBKDF2:
        return f"${PBKDF2[algorithm]}$i={rounds},l={len(digest)}{ending}"
    if algorithm == "argon2":
        return _argon2(member(data, "additionalParameters"), rounds, ending)
    return None


def _argon2(parameters: Any, rounds: int, ending: str) -> str | None:
    kind, version = _first(parameters, "type"), _first(parameters, "version")
    memory, lanes = _first(parameters, "memory"), _first(parameters, "parallelism")
    if kind not in ARGON2_TYPES or version not in ARGON2_VERSIONS:
        return None
    return f"$argon2{kind}$v={ARGON2_VERSIONS[version]}$m={memory},t={rounds},p={lanes}{ending}"


def _first(parameters: Any, name: str) -> str:
    """Returns the first value of a parameter: all of them are lists of strings."""
    values: Any = member(parameters, name)
    return str(cast("list[Any]", values)[0]) if isinstance(values, list) and values else ""
