"""Links that can be used again by the client that used them.

Revision: 0013, after 0012
"""

import sqlalchemy as sa

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("one_time_tokens", sa.Column("used_by", sa.LargeBinary()))
    op.add_column("one_time_tokens", sa.Column("session_id", sa.Uuid()))


def downgrade() -> None:
    op.drop_column("one_time_tokens", "session_id")
    op.drop_column("one_time_tokens", "used_by")
