"""What this module brings to the schema."""

from app.graphql.schema_part import SchemaPart
from app.sessions.schema.sessions import SessionMutations, session_by_id
from app.sessions.schema.sign_in import SignInMutations
from app.sessions.schema.user_sessions import UserSessions
from app.users.schema import User

SCHEMA = SchemaPart(
    mutations=(SignInMutations, SessionMutations),
    fields={User: UserSessions},
    nodes={"Session": session_by_id},
)
