"""What a sign-in answers: `SignedIn` and its tokens."""

from datetime import datetime

import strawberry

from app.graphql.context import Info
from app.graphql.people import Session, User
from app.security.viewer import Viewer
from app.services import outcomes


@strawberry.type(description="What a signed-in client keeps: secrets, all of it.")
class Tokens:
    access_token: str = strawberry.field(
        description="Send it as `Authorization: Bearer …`. A JWT (RFC 9068) that others can verify."
    )
    access_token_expires_at: datetime = strawberry.field(description="When the access token ends.")
    refresh_token: str = strawberry.field(
        description="Opaque; good for one refresh, which answers the next. Send it nowhere else."
    )
    refresh_token_expires_at: datetime = strawberry.field(
        description="When the session ends, unless it is refreshed before."
    )


@strawberry.type(description="Signed in: a new session and the tokens that belong to it.")
class SignedIn:
    user: User = strawberry.field(description="Who signed in.")
    session: Session = strawberry.field(description="The session that has begun or goes on.")
    tokens: Tokens = strawberry.field(description="What to send from now on.")

    @classmethod
    def of(cls, outcome: outcomes.SignedIn, info: Info) -> "SignedIn":
        # From here on the answer is read by the one who signed in: it is their session, and their
        # account.
        info.context.viewer = Viewer(outcome.user, outcome.session)
        tokens = Tokens(
            access_token=outcome.tokens.access_token,
            access_token_expires_at=outcome.tokens.access_token_expires_at,
            refresh_token=outcome.tokens.refresh_token,
            refresh_token_expires_at=outcome.tokens.refresh_token_expires_at,
        )
        return cls(user=User(row=outcome.user), session=Session(row=outcome.session), tokens=tokens)
