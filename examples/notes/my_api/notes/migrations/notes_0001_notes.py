"""Notes of users."""

import sqlalchemy as sa

from alembic import op

revision = "notes_0001"
down_revision = None
branch_labels = ("notes",)
# The revision of Portico that made the table `users`.
depends_on = "0001"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "notes",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notes"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_notes_user_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_notes_user_id_created_at_id", "notes", ["user_id", "created_at", "id"])
    op.create_table(
        "note_reminders",
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("enqueued_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_note_reminders"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_note_reminders_user_id", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    op.drop_table("note_reminders")
    op.drop_table("notes")
