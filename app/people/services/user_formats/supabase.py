"""Supabase: rows of `auth.users`, as CSV with a header or as JSON."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from app.people.services.user_formats.fields import (
    UNREADABLE_HASH,
    Fields,
    UnusableRecord,
    decoded,
    identity,
    member,
)
from app.people.services.user_formats.firebase import HashParameters

NAMES = ("full_name", "name", "display_name")
# The prefix of hashes that Supabase imported from Firebase.
FIREBASE_PREFIX = "$fbscrypt$"
FIREBASE = re.compile(
    r"\$fbscrypt\$v=1,n=(?P<cost>\d{1,4}),r=(?P<rounds>\d{1,4}),p=1"
    r"(?:,ss=(?P<separator>[^,$]+))?(?:,sk=(?P<key>[^,$]+))?\$(?P<salt>[^$]+)\$(?P<digest>[^$]+)",
    re.ASCII,
)


def person(record: Mapping[str, Any]) -> Fields:
    if record.get("deleted_at"):
        raise UnusableRecord("belongs to a deleted account")
    return {
        **identity(record.get("id")),
        "email": record.get("email"),
        "emailVerified": bool(record.get("email_confirmed_at")),
        "displayName": _name(record.get("raw_user_meta_data")),
        "createdAt": record.get("created_at"),
        "lastLoginAt": record.get("last_sign_in_at"),
        "suspension": _suspension(record.get("banned_until")),
        "passwordHash": _password_hash(record.get("encrypted_password")),
    }


def _name(data: Any) -> str | None:
    """Returns the name in a profile, whose content users can choose freely."""
    profile = _parsed(data) if isinstance(data, str) else data
    names = (member(profile, name) for name in NAMES)
    return next((name for name in names if isinstance(name, str) and name), None)


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _suspension(until: Any) -> Fields | None:
    if not until:
        return None
    return {"reason": "Banned in Supabase", "until": None if until == "infinity" else until}


def _password_hash(text: Any) -> Any:
    if not isinstance(text, str) or not text.startswith(FIREBASE_PREFIX):
        return text
    parts = FIREBASE.fullmatch(text)
    if parts is None:
        return UNREADABLE_HASH
    read = [decoded(parts[name] or "") for name in ("key", "separator", "salt", "digest")]
    key, separator, salt, digest = read
    if key is None or separator is None or salt is None or digest is None:
        return UNREADABLE_HASH
    parameters = HashParameters(key, separator, int(parts["rounds"]), int(parts["cost"]))
    return parameters.encode(salt, digest)
