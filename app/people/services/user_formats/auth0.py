"""Auth0: exports of profiles and of password hashes (NDJSON), and files for its bulk import."""

from collections.abc import Mapping
from typing import Any

from app.people.services.user_formats.fields import (
    UNREADABLE_HASH,
    Fields,
    flag,
    joined,
    member,
    objects,
)

DATABASE = "auth0|"
# Algorithms whose `custom_password_hash.hash.value` is a hash with its parameters.
HASHES_WITH_PARAMETERS = frozenset({"argon2", "bcrypt", "ldap", "pbkdf2"})


def person(record: Mapping[str, Any]) -> Fields:
    email, verified = _email(record)
    return {
        "externalId": _user_id(record),
        "email": email,
        "emailVerified": flag(verified),
        "displayName": _name(record, email),
        "createdAt": record.get("created_at"),
        "lastLoginAt": record.get("last_login"),
        "suspension": {"reason": "Blocked in Auth0"} if flag(record.get("blocked")) else None,
        "passwordHash": _password_hash(record),
    }


def _email(record: Mapping[str, Any]) -> tuple[Any, Any]:
    """Returns the address; some exports of hashes have it in `identifiers` only."""
    if record.get("email"):
        return record["email"], record.get("email_verified")
    for each in objects(record.get("identifiers")):
        if each.get("type") == "email":
            return each.get("value"), each.get("verified")
    return None, False


def _user_id(record: Mapping[str, Any]) -> Any:
    """Returns the `sub` of Auth0's tokens, to which some files omit the prefix."""
    text = record.get("user_id") or record.get("alt_id") or member(record.get("_id"), "$oid")
    return DATABASE + text if isinstance(text, str) and "|" not in text else text


def _name(record: Mapping[str, Any], email: Any) -> Any:
    # Users without a name have the address as their name.
    name = record.get("name")
    if name and name != email:
        return name
    return joined(record.get("given_name"), record.get("family_name"))


def _password_hash(record: Mapping[str, Any]) -> Any:
    custom = record.get("custom_password_hash")
    if custom:
        algorithm = member(custom, "algorithm")
        is_complete = isinstance(algorithm, str) and algorithm in HASHES_WITH_PARAMETERS
        return member(member(custom, "hash"), "value") if is_complete else UNREADABLE_HASH
    return record.get("passwordHash") or record.get("password_hash")
