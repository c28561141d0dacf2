"""How often one may enter codes, step up, and make recovery codes."""

from datetime import timedelta

from app.factors.services.factor_limits import FactorLimits
from app.throttle.attempts import Attempt, Budget, Counted, Limit, Per

PROOFS = Budget(
    "proofs",
    maximum=15,
    window=timedelta(minutes=15),
    counts="wrong passwords, codes and passkeys in one session, to step up and to enroll a factor",
)
FACTOR_CHANGES = Budget(
    "factor_changes",
    maximum=20,
    window=timedelta(hours=1),
    counts="changes of the factors and recovery codes of one user",
)

PASSKEYS = Budget(
    "passkeys",
    maximum=60,
    window=timedelta(minutes=5),
    counts="sign-ins with passkeys that were refused, from one address",
)

CHALLENGE = Attempt(
    name="CHALLENGE",
    description="A code or a passkey that completes a sign-in.",
    rule=FactorLimits,
    once=True,
)
PASSKEY = Attempt(
    name="PASSKEY",
    description="A passkey that signs in.",
    limits=(Limit(PASSKEYS, Per.ADDRESS, Counted.FAILURES),),
    once=True,
    charge_after_failure=True,
)
PROOF = Attempt(
    name="PROOF",
    description="A password, a code or a passkey in a session.",
    limits=(Limit(PROOFS, Per.SESSION, Counted.FAILURES),),
    once=True,
)
PASSKEY_REGISTRATION = Attempt(
    name="PASSKEY_REGISTRATION",
    description="A new passkey, and an email to the user.",
    limits=(
        Limit(PROOFS, Per.SESSION, Counted.FAILURES),
        Limit(FACTOR_CHANGES, Per.USER, Counted.SUCCESSES),
    ),
    once=True,
)
FACTOR_CHANGE = Attempt(
    name="FACTOR_CHANGE",
    description="A change of factors or recovery codes, and an email to the user.",
    limits=(Limit(FACTOR_CHANGES, Per.USER, Counted.SUCCESSES),),
)
