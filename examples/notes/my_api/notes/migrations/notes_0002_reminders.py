"""When each user was sent the last weekly email."""

import sqlalchemy as sa

from alembic import op

revision = "notes_0002"
down_revision = "notes_0001"


def upgrade() -> None:
    op.create_table(
        "note_reminders",
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("enqueued_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_note_reminders"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_note_reminders_user_id", ondelete="CASCADE"
        ),
    )


def downgrade() -> None:
    op.drop_table("note_reminders")
