"""The schema: every area put together, and the SDL that clients generate from."""

from datetime import datetime

import strawberry
from strawberry.schema.config import StrawberryConfig

from app.graphql.accounts import AccountMutations
from app.graphql.administration import AdministrationMutations
from app.graphql.audit import AuditQueries
from app.graphql.context import Info
from app.graphql.emails import EmailMutations
from app.graphql.passwords import PasswordMutations
from app.graphql.profile import ProfileMutations
from app.graphql.scalars import DateTime
from app.graphql.sessions import SessionMutations
from app.graphql.sign_in import SignInMutations
from app.graphql.server import ServerQueries
from app.graphql.users import UserQueries

# Built in since the specification of September 2025; printing it makes generators declare it twice.
BUILT_IN = "directive @oneOf on INPUT_OBJECT\n\n"


@strawberry.type(description="What can be asked. Root fields are answered at once.")
class Query(UserQueries, AuditQueries, ServerQueries):
    pass


@strawberry.type(description="What can be done. Root fields run one after the other.")
class Mutation(
    AccountMutations,
    SignInMutations,
    SessionMutations,
    EmailMutations,
    PasswordMutations,
    ProfileMutations,
    AdministrationMutations,
):
    pass


def build_schema() -> strawberry.Schema:
    config = StrawberryConfig(scalar_map={datetime: DateTime}, info_class=Info)
    return strawberry.Schema(query=Query, mutation=Mutation, config=config)


def printed(schema: strawberry.Schema) -> str:
    """Give the SDL, as `schema.graphql` holds it."""
    return schema.as_str().replace(BUILT_IN, "").rstrip() + "\n"
