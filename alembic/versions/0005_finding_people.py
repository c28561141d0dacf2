"""Indexes by which people are found; the one for searching where the server has pg_trgm.

Revision: 0005, after 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SEARCHED = "(email || E'\\n' || coalesce(display_name, ''))"
# A server without the extension, or one that lets only its administrators make it, serves searches
# by reading everybody.
SEARCH = f"""
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm') THEN
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
        CREATE INDEX ix_users_search ON users USING gin ({SEARCHED} gin_trgm_ops);
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'pg_trgm is not installed: searching people reads all of them';
END
$$
"""


def upgrade() -> None:
    op.create_index("ix_users_role_created_at_id", "users", ["role", "created_at", "id"])
    op.create_index(
        "ix_users_email_verified_created_at_id", "users", ["email_verified", "created_at", "id"]
    )
    op.create_index(
        "ix_users_suspended",
        "users",
        ["created_at", "id"],
        postgresql_where="suspended_at IS NOT NULL",
    )
    # How much a search finds is estimated by these: for what nearly everybody has, the order's own
    # index is walked instead.
    op.execute(f"CREATE STATISTICS users_searched ON ({SEARCHED}) FROM users")
    op.execute(SEARCH)


def downgrade() -> None:
    op.execute("DROP INDEX IF EXISTS ix_users_search")
    op.execute("DROP STATISTICS users_searched")
    op.drop_index("ix_users_suspended", "users")
    op.drop_index("ix_users_email_verified_created_at_id", "users")
    op.drop_index("ix_users_role_created_at_id", "users")
