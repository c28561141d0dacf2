"""How a record of another system than the named one is recognized."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from app.people.services.user_fields import FIELDS
from app.people.services.user_formats.fields import UnusableRecord
from app.people.services.user_formats.systems import Origin

# Fields of Portico that identify no system, since records of others have them too.
SHARED = frozenset({"email", "role"})
# The fields in records of each system. One that several systems have identifies none of them, but
# shows that a record is not of the others.
FIELDS_OF: Final[Mapping[Origin, AbstractSet[str]]] = {
    Origin.PORTICO: FIELDS.keys() - SHARED,
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
    """Refuse a record of another system, of which only some fields would be imported.

    Raises:
        UnusableRecord: the record has fields that this system does not write, and none that only
            this system writes.

    """
    names = record.keys()
    others = {other: fields for other, fields in FIELDS_OF.items() if other is not origin}
    if names & (FIELDS_OF[origin] - frozenset().union(*others.values())):
        return
    if names & (frozenset().union(*others.values()) - FIELDS_OF[origin]):
        likely = max(others, key=lambda other: len(names & others[other]))
        raise UnusableRecord(f"looks like a record of {likely}: see --from")
