"""Audit events, and an index that finds sessions that are over.

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op
from app.database import online_ddl

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # First, since it commits: everything else is in one transaction with the revision's number.
    online_ddl.create_index(
        "ix_sessions_over_at",
        "sessions",
        [sa.text("coalesce(ended_at, least(expires_at, ends_by))")],
    )
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid()),
        sa.Column("target_id", sa.Uuid()),
        sa.Column("ip_address", sa.Text()),
        sa.Column("request_id", sa.Text()),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_events"),
    )
    op.create_index("ix_audit_events_target_id_id", "audit_events", ["target_id", "id"])
    op.create_index("ix_audit_events_name_id", "audit_events", ["name", "id"])


def downgrade() -> None:
    online_ddl.drop_index("ix_sessions_over_at", "sessions")
    op.drop_table("audit_events")
