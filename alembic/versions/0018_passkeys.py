"""Passkeys, the user handles of accounts, and ceremonies that were used.

Revision: 0018, after 0017
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Tables are locked in the order in which a sign-in does it: users, then sessions.
    _create_passkeys()
    _create_passkey_users()
    _create_used_ceremonies()
    op.add_column("sessions", sa.Column("is_passkey_synced", sa.Boolean()))


def downgrade() -> None:
    for table in ("used_ceremonies", "passkey_users", "passkeys"):
        op.drop_table(table)
    # The release before does not know this kind, nor the method: who has only passkeys has no
    # second factor there, and the sessions that they began end.
    op.execute("DELETE FROM factors WHERE kind = 'PASSKEY'")
    op.execute("DELETE FROM recovery_codes WHERE user_id NOT IN (SELECT user_id FROM factors)")
    op.execute("DELETE FROM sessions WHERE 'PASSKEY' = ANY (methods)")
    op.drop_column("sessions", "is_passkey_synced")


def _create_passkeys() -> None:
    factor_id = sa.ForeignKey("factors.id", ondelete="CASCADE", name="fk_passkeys_factor_id")
    op.create_table(
        "passkeys",
        sa.Column("factor_id", sa.Uuid(), factor_id, nullable=False),
        _user_id("passkeys"),
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("aaguid", sa.Text(), nullable=False),
        sa.Column("is_backup_eligible", sa.Boolean(), nullable=False),
        sa.Column("is_backed_up", sa.Boolean(), nullable=False),
        sa.Column("transports", ARRAY(sa.Text()), nullable=False),
        sa.Column("rp_id", sa.Text(), nullable=False),
        sa.Column("needs_password", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("factor_id", name="pk_passkeys"),
        sa.UniqueConstraint("credential_id", name="uq_passkeys_credential_id"),
    )
    op.create_index("ix_passkeys_user_id", "passkeys", ["user_id"])
    op.create_index("ix_passkeys_rp_id", "passkeys", ["rp_id"])


def _create_passkey_users() -> None:
    op.create_table(
        "passkey_users",
        _user_id("passkey_users"),
        sa.Column("handle", sa.LargeBinary(), nullable=False),
        _time("created_at"),
        sa.PrimaryKeyConstraint("user_id", name="pk_passkey_users"),
        sa.UniqueConstraint("handle", name="uq_passkey_users_handle"),
    )


def _create_used_ceremonies() -> None:
    op.create_table(
        "used_ceremonies",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        _time("used_at"),
        _time("expires_at"),
        sa.Column("used_with", sa.LargeBinary()),
        sa.Column("session_id", sa.Uuid()),
        sa.PrimaryKeyConstraint("token_hash", name="pk_used_ceremonies"),
    )
    op.create_index("ix_used_ceremonies_expires_at", "used_ceremonies", ["expires_at"])


def _user_id(table: str) -> sa.Column[object]:
    key = sa.ForeignKey("users.id", ondelete="CASCADE", name=f"fk_{table}_user_id")
    return sa.Column("user_id", sa.Uuid(), key, nullable=False)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)
