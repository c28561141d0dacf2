"""How many emails an address is sent on requests of people who may not be its owner."""

from datetime import timedelta

from app.throttle.attempts import Budget, Charge, Counted

MAILS = Budget(
    "mails",
    maximum=3,
    window=timedelta(hours=1),
    counts="emails of one kind to one address",
)


def email_charge(kind: str, address: str) -> Charge:
    """Returns the charge of an email: each kind is counted separately."""
    return Charge(MAILS, Counted.ALL, (kind, address))
