"""Indexes for finding people. `app/database/after_upgrade.py` creates the one for searches.

Revision: 0005, after 0004
"""

from alembic import op
from app.database import online_ddl

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SEARCHED = "(email || E'\\n' || coalesce(display_name, ''))"


def upgrade() -> None:
    online_ddl.create_index("ix_users_role_created_at_id", "users", ["role", "created_at", "id"])
    online_ddl.create_index(
        "ix_users_email_verified_created_at_id", "users", ["email_verified", "created_at", "id"]
    )
    online_ddl.create_index(
        "ix_users_suspended", "users", ["created_at", "id"], where="suspended_at IS NOT NULL"
    )
    # The planner estimates the number of matches of a search by these statistics: if nearly all
    # rows match, it scans the index of the order instead.
    op.execute(f"CREATE STATISTICS users_searched ON ({SEARCHED}) FROM users")


def downgrade() -> None:
    online_ddl.drop_index("ix_users_search", "users")
    online_ddl.drop_index("ix_users_suspended", "users")
    online_ddl.drop_index("ix_users_email_verified_created_at_id", "users")
    online_ddl.drop_index("ix_users_role_created_at_id", "users")
    op.execute("DROP STATISTICS users_searched")
