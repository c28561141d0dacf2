"""How often an administrator may invite people, reset their factors and delete accounts."""

from datetime import timedelta

from app.throttle.attempts import Attempt, Budget, Counted, Limit, Per

INVITATIONS = Budget(
    "invitations",
    maximum=300,
    window=timedelta(hours=1),
    counts="invitations by one administrator",
)
DELETIONS = Budget(
    "deletions",
    maximum=300,
    window=timedelta(hours=1),
    counts="accounts deleted by one administrator",
)

FACTOR_RESETS = Budget(
    "factor_resets",
    maximum=100,
    window=timedelta(hours=1),
    counts="accounts whose factors one administrator resets",
)

INVITATION = Attempt(
    name="INVITATION",
    description="An email to an address of an administrator's choice.",
    limits=(Limit(INVITATIONS, Per.USER, Counted.SUCCESSES),),
)
FACTOR_RESET = Attempt(
    name="FACTOR_RESET",
    description="The removal of the factors of a user by an administrator, and an email to them.",
    limits=(Limit(FACTOR_RESETS, Per.USER, Counted.SUCCESSES),),
)
DELETION = Attempt(
    name="DELETION",
    description="The deletion of an account by an administrator, and an email to its owner.",
    limits=(Limit(DELETIONS, Per.USER, Counted.SUCCESSES),),
)
