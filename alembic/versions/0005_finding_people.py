"""Indexes by which people are found; the one for searching where the server has pg_trgm.

Revision: 0005, after 0004
"""

import sqlalchemy as sa

from alembic import op
from app import online

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SEARCHED = "(email || E'\\n' || coalesce(display_name, ''))"
# A server without the extension, or one that lets only its administrators make it, serves searches
# by reading everybody.
EXTENSION = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm') THEN
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'pg_trgm is not installed: searching people reads all of them';
END
$$
"""


def upgrade() -> None:
    op.execute(EXTENSION)
    if _has_trigrams():
        online.create_index(
            "ix_users_search", "users", [sa.text(f"{SEARCHED} gin_trgm_ops")], using="gin"
        )
    online.create_index("ix_users_role_created_at_id", "users", ["role", "created_at", "id"])
    online.create_index(
        "ix_users_email_verified_created_at_id", "users", ["email_verified", "created_at", "id"]
    )
    online.create_index(
        "ix_users_suspended", "users", ["created_at", "id"], where="suspended_at IS NOT NULL"
    )
    # How much a search finds is estimated by these: for what nearly everybody has, the order's own
    # index is walked instead.
    op.execute(f"CREATE STATISTICS users_searched ON ({SEARCHED}) FROM users")


def downgrade() -> None:
    online.drop_index("ix_users_search", "users")
    online.drop_index("ix_users_suspended", "users")
    online.drop_index("ix_users_email_verified_created_at_id", "users")
    online.drop_index("ix_users_role_created_at_id", "users")
    op.execute("DROP STATISTICS users_searched")


def _has_trigrams() -> bool:
    """Whether the extension is there; printed SQL is for a server that has it."""
    if op.get_context().as_sql:
        return True
    found = sa.text("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm')")
    return bool(op.get_bind().scalar(found))
