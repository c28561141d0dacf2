"""What this module brings to the schema."""

from app.accounts.schema.email_addresses import EmailMutations
from app.accounts.schema.passwords import PasswordMutations
from app.accounts.schema.personal_data import PersonalDataMutations
from app.accounts.schema.profile import ProfileMutations
from app.accounts.schema.registration import AccountMutations
from app.accounts.schema.server import ServerQueries
from app.graphql.schema_part import SchemaPart

SCHEMA = SchemaPart(
    queries=(ServerQueries,),
    mutations=(
        AccountMutations,
        EmailMutations,
        PasswordMutations,
        ProfileMutations,
        PersonalDataMutations,
    ),
)
