"""The end of a chain is moved by the database alone; when the audit was verified.

Revision: 0015, after 0014
"""

import sqlalchemy as sa

from alembic import op
from app import online

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# With the rights of the owner: the role that serves needs none on the ends of chains, and can set
# none back. The search_path is set in the same statement, since a function that runs with the
# rights of its owner must not find the temporary tables of its caller.
# https://www.postgresql.org/docs/15/sql-createfunction.html#SQL-CREATEFUNCTION-SECURITY
AS_OWNER = """
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION append_audit_event() SECURITY DEFINER SET search_path = %I, pg_temp',
        current_schema());
END
$$
"""
# Whoever may execute a function can put it on a table of their own as a trigger. The trigger of
# the audit fires without this right.
NOT_FOR_OTHERS = "REVOKE EXECUTE ON FUNCTION append_audit_event() FROM PUBLIC"


def upgrade() -> None:
    op.execute(AS_OWNER)
    op.execute(NOT_FOR_OTHERS)
    op.create_table(
        "audit_verifications",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid", sa.Boolean(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("checkpoints", sa.BigInteger(), nullable=False),
        sa.Column("latest_event_at", sa.DateTime(timezone=True)),
        sa.Column("verified_by", sa.Text(), server_default=sa.text("CURRENT_USER"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_verifications"),
        if_not_exists=True,
    )
    online.create_index("ix_audit_checkpoints_heads", "audit_checkpoints", ["heads"], using="gin")


def downgrade() -> None:
    online.drop_index("ix_audit_checkpoints_heads", "audit_checkpoints")
    op.drop_table("audit_verifications", if_exists=True)
    op.execute("GRANT EXECUTE ON FUNCTION append_audit_event() TO PUBLIC")
    op.execute("ALTER FUNCTION append_audit_event() SECURITY INVOKER")
