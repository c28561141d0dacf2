"""What this module brings to the schema."""

from app.graphql.schema_part import SchemaPart
from app.people.schema.administration import AdministrationMutations
from app.people.schema.users import UserQueries, user_by_id

SCHEMA = SchemaPart(
    queries=(UserQueries,),
    mutations=(AdministrationMutations,),
    nodes={"User": user_by_id},
)
