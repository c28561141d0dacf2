"""The systems whose records are read, and how it shows that a record is of another one."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from app.people.services.user_formats.fields import UnusableRecord


class Origin(StrEnum):
    """The system that has written a file."""

    PORTICO = "portico"
    AUTH0 = "auth0"
    FIREBASE = "firebase"
    KEYCLOAK = "keycloak"
    SUPABASE = "supabase"
    DJANGO = "django"
    COGNITO = "cognito"


# Names of fields in the records of each system. What several have is a mark of none of them alone,
# but tells that a record is not of the others.
MARKS: Final[Mapping[Origin, frozenset[str]]] = {
    Origin.PORTICO: frozenset(
        {
            *("id", "externalId", "displayName", "emailVerified", "createdAt", "lastLoginAt"),
            *("suspension", "passwordHash"),
        }
    ),
    Origin.AUTH0: frozenset(
        {
            *("user_id", "_id", "alt_id", "identifiers", "identities", "custom_password_hash"),
            *("password_hash", "passwordHash", "password_set_date", "blocked", "logins_count"),
            *("last_login", "last_ip", "connection", "tenant", "user_metadata", "app_metadata"),
            *("created_at", "updated_at", "username", "email_verified", "name", "nickname"),
            *("given_name", "family_name", "picture"),
        }
    ),
    Origin.FIREBASE: frozenset(
        {
            *("localId", "emailVerified", "passwordHash", "salt", "displayName", "photoUrl"),
            *("createdAt", "lastSignedInAt", "phoneNumber", "disabled", "customAttributes"),
            "providerUserInfo",
        }
    ),
    Origin.KEYCLOAK: frozenset(
        {
            *("id", "username", "emailVerified", "firstName", "lastName", "enabled", "realm"),
            *("createdTimestamp", "credentials", "requiredActions", "disableableCredentialTypes"),
            *("realmRoles", "clientRoles", "notBefore", "totp", "federatedIdentities"),
            *("federationLink", "serviceAccountClientId"),
        }
    ),
    Origin.SUPABASE: frozenset(
        {
            *("id", "instance_id", "aud", "encrypted_password", "email_confirmed_at"),
            *("phone_confirmed_at", "confirmed_at", "invited_at", "last_sign_in_at"),
            *("confirmation_token", "raw_app_meta_data", "raw_user_meta_data", "banned_until"),
            *("is_super_admin", "is_sso_user", "is_anonymous", "deleted_at", "created_at"),
            *("updated_at", "user_metadata", "app_metadata", "identities"),
        }
    ),
    Origin.DJANGO: frozenset({"model", "pk", "fields"}),
    Origin.COGNITO: frozenset(
        {
            *("Username", "Attributes", "UserCreateDate", "UserLastModifiedDate", "UserStatus"),
            *("Enabled", "MFAOptions", "cognito:username", "cognito:mfa_enabled"),
            *("email_verified", "name", "nickname", "given_name", "family_name", "picture"),
            "updated_at",
        }
    ),
}


def check_origin(origin: Origin, record: Mapping[str, Any]) -> None:
    """Refuse a record of another system, of which half would be taken and the rest not seen.

    Raises:
        UnusableRecord: it has marks that records of this system do not have, and none that only they
            have.

    """
    names = record.keys()
    others = {other: marks for other, marks in MARKS.items() if other is not origin}
    if names & (MARKS[origin] - frozenset().union(*others.values())):
        return
    if names & (frozenset().union(*others.values()) - MARKS[origin]):
        likely = max(others, key=lambda other: len(names & others[other]))
        raise UnusableRecord(f"looks like one of {likely}: see --from")
