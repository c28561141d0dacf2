"""The schema: every area put together, and the SDL that clients generate from."""

from collections.abc import Mapping
from datetime import datetime

import strawberry
from strawberry.schema.config import StrawberryConfig

from app.graphql.accounts import AccountMutations
from app.graphql.administration import AdministrationMutations
from app.graphql.audit import AuditQueries
from app.graphql.context import Info
from app.graphql.descriptions import fill_in
from app.graphql.emails import EmailMutations
from app.graphql.engine import core_schema
from app.graphql.passwords import PasswordMutations
from app.graphql.profile import ProfileMutations
from app.graphql.scalars import DateTime
from app.graphql.sessions import SessionMutations
from app.graphql.sign_in import SignInMutations
from app.graphql.users import UserQueries

# Built in since the specification of September 2025; printing it makes generators declare it twice.
BUILT_IN = "directive @oneOf on INPUT_OBJECT\n\n"


DOCUMENT_LIMITS = (
    "One document has at most ${limit_characters} characters, ${limit_fields} fields, "
    "${limit_aliases} aliases and ${limit_depth} levels of fields. One operation has at most "
    "${limit_root_fields} root fields, one of which may test a credential, and costs at most "
    "${limit_cost}: a field costs 1, times the entries of the pages it stands on."
)


@strawberry.type(
    description=f"What can be asked. Root fields are answered at once.\n\n{DOCUMENT_LIMITS}"
)
class Query(UserQueries, AuditQueries):
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


def build_schema(numbers: Mapping[str, int]) -> strawberry.Schema:
    """Build the schema. Its descriptions state these numbers, which are named as settings are."""
    config = StrawberryConfig(scalar_map={datetime: DateTime}, info_class=Info)
    schema = strawberry.Schema(query=Query, mutation=Mutation, config=config)
    fill_in(core_schema(schema), numbers)
    return schema


def printed(schema: strawberry.Schema) -> str:
    """Give the SDL, as `schema.graphql` holds it."""
    return schema.as_str().replace(BUILT_IN, "").rstrip() + "\n"
