"""The id that a user has in another system, with a unique index.

Revision: 0012, after 0011
"""

import sqlalchemy as sa

from alembic import op
from app.database import online_ddl

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Building the index commits this and may be interrupted, so the column may exist already.
    op.add_column("users", sa.Column("external_id", sa.Text()), if_not_exists=True)
    online_ddl.create_index(
        "ix_users_external_id",
        "users",
        ["external_id"],
        where="external_id IS NOT NULL",
        unique=True,
    )


def downgrade() -> None:
    online_ddl.drop_index("ix_users_external_id", "users")
    op.drop_column("users", "external_id")
