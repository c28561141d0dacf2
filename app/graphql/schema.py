"""The schema: every area put together, and the SDL that clients generate from."""

from collections.abc import Mapping
from datetime import datetime

import strawberry
from graphql import StringValueNode, print_ast
from strawberry.schema.config import StrawberryConfig

from app.accounts.schema.email_addresses import EmailMutations
from app.accounts.schema.passwords import PasswordMutations
from app.accounts.schema.personal_data import PersonalDataMutations
from app.accounts.schema.profile import ProfileMutations
from app.accounts.schema.registration import AccountMutations
from app.accounts.schema.server import ServerQueries
from app.audit.schema import AuditQueries
from app.engine.engine import core_schema
from app.graphql.context import Info
from app.graphql.descriptions import fill_in
from app.graphql.scalars import JSON, DateTime, Json
from app.people.schema.administration import AdministrationMutations
from app.people.schema.users import UserQueries
from app.sessions.schema.sessions import SessionMutations
from app.sessions.schema.sign_in import SignInMutations

# Built in since the specification of September 2025; printing it makes generators declare it twice.
BUILT_IN = "directive @oneOf on INPUT_OBJECT\n\n"
DEFINITION = "schema {\n  query: Query\n  mutation: Mutation\n}"
DESCRIPTION = """\
Portico: accounts, sign-in and sessions.

Sign in with `register` or `login`. Send the `tokens.accessToken` of the answer with each request,
in the header `Authorization: Bearer <accessToken>`. When it expires, `refreshSession` answers the
next one. The description of each root field says who may ask it.

What can become of a mutation is a member of its result union. Each member that implements `Problem`
says in `message` what to tell the person. A field that is refused is null and has an entry in
`errors`, whose `extensions.code` says why (`UNAUTHENTICATED`, `FORBIDDEN`, `BAD_USER_INPUT`, ...).
The rest of the answer stands.

The documentation is in `docs/clients`, in the source of Portico.\
"""


DOCUMENT_LIMITS = (
    "One document has at most ${limit_characters} characters, ${limit_fields} fields, "
    "${limit_aliases} aliases and ${limit_depth} levels of fields. One operation has at most "
    "${limit_root_fields} root fields, one of which may test a credential, and costs at most "
    "${limit_cost}: a field costs 1, times the entries of the pages it stands on."
)


@strawberry.type(
    description=f"What can be asked. Root fields are answered at once.\n\n{DOCUMENT_LIMITS}"
)
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
    PersonalDataMutations,
):
    pass


def build_schema(values: Mapping[str, int | str]) -> strawberry.Schema:
    """Build the schema. Its descriptions state these values by their names."""
    config = StrawberryConfig(scalar_map={datetime: DateTime, JSON: Json}, info_class=Info)
    schema = strawberry.Schema(query=Query, mutation=Mutation, config=config)
    core_schema(schema).description = DESCRIPTION
    fill_in(core_schema(schema), values)
    return schema


def printed(schema: strawberry.Schema) -> str:
    """Returns the SDL, as `schema.graphql` holds it."""
    types = schema.as_str().replace(BUILT_IN, "").rstrip()
    # Strawberry prints no description of the schema itself.
    description = StringValueNode(value=core_schema(schema).description or "", block=True)
    return f"{print_ast(description)}\n{DEFINITION}\n\n{types}\n"
