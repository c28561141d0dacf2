"""How often one may sign in and refresh a session."""

from datetime import timedelta

from app.sessions.services.sign_in_limits import SignInLimits
from app.throttle.attempts import Attempt, Budget, Counted, Limit, Per

REFRESHES = Budget(
    "refreshes",
    maximum=300,
    window=timedelta(minutes=5),
    counts="unknown refresh tokens from one address",
)

SIGN_IN = Attempt(
    name="SIGN_IN",
    description="A password that signs in.",
    rule=SignInLimits,
    once=True,
)
REFRESH = Attempt(
    name="REFRESH",
    description="A refresh token. Only unknown ones are charged.",
    limits=(Limit(REFRESHES, Per.ADDRESS, Counted.FAILURES),),
    once=True,
    charge_after_failure=True,
)
