"""What the module `people` brings."""

from app.module import Module
from app.people import limits
from app.people.emails import EMAILS
from app.people.events import PeopleEvent
from app.people.services.administration import Administration
from app.people.services.administrator_accounts import AdministratorAccounts
from app.people.services.user_files import UserFiles
from app.people.services.users import Users
from app.people.settings import PeopleSettings

MODULE = Module(
    name="people",
    settings=PeopleSettings,
    emails=EMAILS,
    events=PeopleEvent,
    attempts=(limits.INVITATION, limits.FACTOR_RESET, limits.DELETION),
    services=(Administration, AdministratorAccounts, UserFiles, Users),
    schema="app.people.schema.part",
)
