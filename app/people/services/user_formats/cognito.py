"""Amazon Cognito: the output of `aws cognito-idp list-users`, and CSV files for its import.

Cognito does not export password hashes.
"""

from collections.abc import Mapping
from typing import Any

from app.people.services.user_formats.fields import Fields, flag, identity, joined, objects


def person(record: Mapping[str, Any]) -> Fields:
    listed = "Attributes" in record
    attributes = _attributes(record) if listed else record
    enabled = record.get("Enabled", True)
    return {
        **_names(attributes.get("sub"), record.get("Username" if listed else "cognito:username")),
        "email": attributes.get("email"),
        "emailVerified": flag(attributes.get("email_verified")),
        "displayName": attributes.get("name")
        or joined(attributes.get("given_name"), attributes.get("family_name")),
        "createdAt": record.get("UserCreateDate"),
        "suspension": None if flag(enabled) else {"reason": "Disabled in Cognito"},
    }


def _attributes(record: Mapping[str, Any]) -> Mapping[str, Any]:
    listed = objects(record.get("Attributes"))
    return {str(each.get("Name")): each.get("Value") for each in listed}


def _names(subject: Any, username: Any) -> Fields:
    """The `sub` is the id, and the user name the external id; without `sub`, see `identity`."""
    return {**identity(username), **({"id": subject} if subject else {})}
