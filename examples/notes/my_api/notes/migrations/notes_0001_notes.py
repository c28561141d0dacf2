"""Notes of users."""

import sqlalchemy as sa

from alembic import op

revision = "notes_0001"
down_revision = None
branch_labels = ("notes",)
# The revision of Portico that created the table `users`.
depends_on = "0001"

TIMESTAMP = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "notes",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("updated_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notes"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_notes_user_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_notes_user_id_created_at_id", "notes", ["user_id", "created_at", "id"])


def downgrade() -> None:
    op.drop_table("notes")
