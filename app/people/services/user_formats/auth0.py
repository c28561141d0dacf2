"""Auth0: its exports of profiles and of password hashes (NDJSON), and files for its bulk import."""

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
# Of these `custom_password_hash.hash.value` is a hash with its parameters.
WHOLE_HASHES = frozenset({"argon2", "bcrypt", "ldap", "pbkdf2"})


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
    """The address, which some records of exported hashes have among their identifiers only."""
    if record.get("email"):
        return record["email"], record.get("email_verified")
    for each in objects(record.get("identifiers")):
        if each.get("type") == "email":
            return each.get("value"), each.get("verified")
    return None, False


def _user_id(record: Mapping[str, Any]) -> Any:
    """The `sub` of its tokens; what stands before the id is left out in some files."""
    text = record.get("user_id") or record.get("alt_id") or member(record.get("_id"), "$oid")
    return DATABASE + text if isinstance(text, str) and "|" not in text else text


def _name(record: Mapping[str, Any], email: Any) -> Any:
    # Whoever gave no name has the address there.
    name = record.get("name")
    if name and name != email:
        return name
    return joined(record.get("given_name"), record.get("family_name"))


def _password_hash(record: Mapping[str, Any]) -> Any:
    custom = record.get("custom_password_hash")
    if custom:
        algorithm = member(custom, "algorithm")
        whole = isinstance(algorithm, str) and algorithm in WHOLE_HASHES
        return member(member(custom, "hash"), "value") if whole else UNREADABLE_HASH
    return record.get("passwordHash") or record.get("password_hash")
