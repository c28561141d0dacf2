"""The tokens of a session."""

from dataclasses import dataclass

from app.security.access_tokens import AccessTokens, Authentication
from app.security.refresh_tokens import RefreshTokens
from app.sessions.models import AuthenticationMethod, SessionRow
from app.sessions.services.outcomes import SignedIn, Tokens
from app.sessions.services.token_claims import TokenClaims
from app.users.models import UserRow

# A key in one device, or one that may be copied to others; and the user was present.
HARDWARE_KEY, SYNCED_KEY = ("hwk", "user"), ("swk", "user")
# RFC 8176. It has no value for an email; `otp` covers codes that are written down too.
REFERENCES = {
    AuthenticationMethod.PASSWORD: ("pwd",),
    AuthenticationMethod.EMAIL: ("email",),
    AuthenticationMethod.TOTP: ("otp",),
    AuthenticationMethod.RECOVERY_CODE: ("otp",),
    AuthenticationMethod.PASSKEY: HARDWARE_KEY,
}
MULTI_FACTOR = "mfa"
# Authentication assurance levels, as others name them: one factor, or two.
ONE_FACTOR, TWO_FACTORS = "aal1", "aal2"


@dataclass(frozen=True, slots=True)
class SessionTokens:
    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    claims: TokenClaims

    def check_can_issue(self) -> None:
        """Check that tokens can be made, before a session is changed for them.

        Raises:
            Unavailable: this process cannot sign access tokens.

        """
        self.access_tokens.check_can_issue()

    def signed_in(
        self, user: UserRow, session: SessionRow, device_token: str | None = None
    ) -> SignedIn:
        """Building block: make the tokens, once the session is committed."""
        access = self.access_tokens.issue(
            user.id,
            session.id,
            session.generation,
            authentication(session),
            self.claims.of(user),
        )
        refresh = self.refresh_tokens.issue(session.id, session.generation, session.token_salt)
        tokens = Tokens(
            access.text,
            access.expires_at,
            access.expires_in,
            refresh,
            session.lifetime.effective_expiry,
            device_token,
        )
        return SignedIn(user, session, tokens)


def authentication(session: SessionRow) -> Authentication:
    """Returns when and by what the user proved who they are, for access tokens.

    A factor that was enrolled in the session counts: its first code was entered there.
    """
    synced = {AuthenticationMethod.PASSKEY: SYNCED_KEY} if session.is_passkey_synced else {}
    names = REFERENCES | synced
    by_method = (names[AuthenticationMethod(each)] for each in session.methods)
    references = list(dict.fromkeys(each for values in by_method for each in values))
    if not session.has_proved_factor:
        return Authentication(session.authenticated_at, references, ONE_FACTOR)
    return Authentication(session.authenticated_at, [*references, MULTI_FACTOR], TWO_FACTORS)
