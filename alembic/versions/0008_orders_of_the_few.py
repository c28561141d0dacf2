"""Indexes for the orders of filters with few matches; whether a registration may replace a user.

Revision: 0008, after 0007
"""

import sqlalchemy as sa

from alembic import op
from app.database import online_ddl

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LAST_LOGIN = sa.text("coalesce(last_login_at, '-infinity'::timestamptz)")
FEW = {"admin": "role = 'ADMIN'", "suspended": "suspended_at IS NOT NULL"}


def upgrade() -> None:
    online_ddl.create_index(
        "ix_users_email_verified_last_login_at_id", "users", ["email_verified", LAST_LOGIN, "id"]
    )
    online_ddl.create_index("ix_users_email_verified_email", "users", ["email_verified", "email"])
    for few, where in FEW.items():
        for name, columns in {
            "created_at_id": ["created_at", "id"],
            "last_login_at_id": [LAST_LOGIN, "id"],
            "email": ["email"],
        }.items():
            online_ddl.create_index(f"ix_users_{few}_{name}", "users", columns, where=where)
    online_ddl.drop_index("ix_users_suspended", "users")
    online_ddl.drop_index("ix_users_role_created_at_id", "users")
    op.add_column(
        "users",
        sa.Column(
            "open_to_registration", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
    )


def downgrade() -> None:
    online_ddl.create_index("ix_users_role_created_at_id", "users", ["role", "created_at", "id"])
    online_ddl.create_index(
        "ix_users_suspended", "users", ["created_at", "id"], where="suspended_at IS NOT NULL"
    )
    for few in FEW:
        for name in ("created_at_id", "last_login_at_id", "email"):
            online_ddl.drop_index(f"ix_users_{few}_{name}", "users")
    online_ddl.drop_index("ix_users_email_verified_email", "users")
    online_ddl.drop_index("ix_users_email_verified_last_login_at_id", "users")
    op.drop_column("users", "open_to_registration")
