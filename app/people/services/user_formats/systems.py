"""The systems whose exports can be imported."""

from enum import StrEnum


class Origin(StrEnum):
    """The system that wrote a file."""

    PORTICO = "portico"
    AUTH0 = "auth0"
    FIREBASE = "firebase"
    KEYCLOAK = "keycloak"
    SUPABASE = "supabase"
    DJANGO = "django"
    COGNITO = "cognito"
