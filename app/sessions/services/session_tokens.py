"""The tokens of a session."""

from dataclasses import dataclass

from app.security.access_tokens import AccessTokens
from app.security.refresh_tokens import RefreshTokens
from app.sessions.models import FACTOR_METHODS, AuthenticationMethod, SessionRow
from app.sessions.services.outcomes import SignedIn, Tokens
from app.sessions.services.token_claims import TokenClaims
from app.users.models import UserRow

# RFC 8176. It has no value for an email; `otp` covers codes that are written down too.
REFERENCES = {
    AuthenticationMethod.PASSWORD: "pwd",
    AuthenticationMethod.EMAIL: "email",
    AuthenticationMethod.TOTP: "otp",
    AuthenticationMethod.RECOVERY_CODE: "otp",
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
            session.authenticated_at,
            {**authentication_claims(session.methods), **self.claims.of(user)},
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


def authentication_claims(methods: list[str]) -> dict[str, object]:
    """Returns `amr` (RFC 8176) and `acr`: by what the user proved who they are, and how strongly.

    A factor that was enrolled in the session counts: its first code was entered there.
    """
    proved = [AuthenticationMethod(each) for each in methods]
    references = list(dict.fromkeys(REFERENCES[each] for each in proved))
    if FACTOR_METHODS.isdisjoint(proved):
        return {"amr": references, "acr": ONE_FACTOR}
    return {"amr": [*references, MULTI_FACTOR], "acr": TWO_FACTORS}
