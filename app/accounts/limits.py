"""How often one may register, use and request links, confirm with a password, and export data."""

from datetime import timedelta

from app.throttle.attempts import Attempt, Budget, Counted, Limit, Per

SIGN_UPS = Budget(
    "sign_ups",
    maximum=30,
    window=timedelta(minutes=10),
    counts="registrations from one address",
)
LINKS = Budget(
    "links",
    maximum=60,
    window=timedelta(minutes=5),
    counts="tokens of links, and requests for an email, from one address",
)
PASSWORDS = Budget(
    "passwords",
    maximum=15,
    window=timedelta(minutes=15),
    counts="wrong passwords that should confirm a change of one account",
)
EMAIL_CHANGES = Budget(
    "email_changes",
    maximum=5,
    window=timedelta(days=1),
    counts="requests of one account for another email address",
)
PROFILES = Budget(
    "profiles",
    maximum=60,
    window=timedelta(hours=1),
    counts="changes of one profile",
)
EXPORTS = Budget(
    "exports",
    maximum=20,
    window=timedelta(hours=1),
    counts="copies of personal data made for one user",
)

WRONG_PASSWORD = Limit(PASSWORDS, Per.USER, Counted.FAILURES)

SIGN_UP = Attempt(
    name="SIGN_UP",
    description="A registration.",
    limits=(Limit(SIGN_UPS, Per.ADDRESS, Counted.ALL),),
    once=True,
)
LINK = Attempt(
    name="LINK",
    description="The token of an emailed link.",
    limits=(Limit(LINKS, Per.ADDRESS, Counted.FAILURES),),
    once=True,
)
EMAIL = Attempt(
    name="EMAIL",
    description="A request for an email.",
    limits=(Limit(LINKS, Per.ADDRESS, Counted.ALL),),
    once=True,
)
PASSWORD = Attempt(
    name="PASSWORD",
    description="A password that confirms a change.",
    limits=(WRONG_PASSWORD,),
    once=True,
)
EMAIL_CHANGE = Attempt(
    name="EMAIL_CHANGE",
    description="A password, and an email to an address of the client's choice.",
    limits=(WRONG_PASSWORD, Limit(EMAIL_CHANGES, Per.USER, Counted.SUCCESSES)),
    once=True,
)
PROFILE = Attempt(
    name="PROFILE",
    description="A change of a profile.",
    limits=(Limit(PROFILES, Per.USER, Counted.ALL),),
)
EXPORT = Attempt(
    name="EXPORT",
    description="A password, and a copy of what is known of the user.",
    limits=(WRONG_PASSWORD, Limit(EXPORTS, Per.USER, Counted.SUCCESSES)),
    once=True,
)
USER_EXPORT = Attempt(
    name="USER_EXPORT",
    description="A copy, for an administrator, of what is known of a user.",
    limits=(Limit(EXPORTS, Per.USER, Counted.SUCCESSES),),
    once=True,
)
