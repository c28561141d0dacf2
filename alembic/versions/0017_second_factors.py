"""Second factors, challenges, and what a session has proved.

Revision: 0017, after 0016
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

SEALED = ("totp_secrets", "totp_enrollments", "recovery_codes")


def upgrade() -> None:
    # Tables are locked in the order in which a sign-in does it: users, then sessions.
    _create_challenges()
    _create_factors()
    _create_totp_secrets()
    _create_recovery_codes()
    _create_totp_enrollments()
    # The function of revision 0014: a server with a revoked secret cannot seal a factor.
    for table in SEALED:
        op.execute(
            f"CREATE TRIGGER sealed_with BEFORE INSERT OR UPDATE OF sealed_with ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION check_sealed_with()"
        )
    _extend_sessions()


def downgrade() -> None:
    for table in ("recovery_codes", "totp_enrollments", "totp_secrets", "factors", "challenges"):
        op.drop_table(table)
    for column in ("must_step_up", "wrong_codes", "methods", "proved_at"):
        op.drop_column("sessions", column)


def _extend_sessions() -> None:
    # None of these rewrites the table: the defaults are constants.
    none = sa.text("'{}'")
    methods = sa.Column("methods", ARRAY(sa.Text()), server_default=none, nullable=False)
    op.add_column("sessions", _time("proved_at", nullable=True))
    op.add_column("sessions", methods)
    op.add_column("sessions", _count("wrong_codes"))
    op.add_column(
        "sessions",
        sa.Column("must_step_up", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )


def _create_challenges() -> None:
    op.create_table(
        "challenges",
        sa.Column("id", sa.Uuid(), nullable=False),
        _user_id("challenges"),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("methods", ARRAY(sa.Text()), nullable=False),
        _time("created_at"),
        _time("expires_at"),
        _time("used_at", nullable=True),
        sa.Column("used_with", sa.LargeBinary()),
        sa.Column("session_id", sa.Uuid()),
        sa.PrimaryKeyConstraint("id", name="pk_challenges"),
        sa.UniqueConstraint("token_hash", name="uq_challenges_token_hash"),
    )
    op.create_index("ix_challenges_user_id", "challenges", ["user_id"])
    op.create_index("ix_challenges_expires_at", "challenges", ["expires_at"])


def _create_factors() -> None:
    op.create_table(
        "factors",
        sa.Column("id", sa.Uuid(), nullable=False),
        _user_id("factors"),
        sa.Column("kind", sa.Text(), nullable=False),
        _time("created_at"),
        _time("last_used_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_factors"),
    )
    op.create_index("ix_factors_user_id", "factors", ["user_id"])


def _create_totp_secrets() -> None:
    op.create_table(
        "totp_secrets",
        _user_id("totp_secrets"),
        sa.Column(
            "factor_id",
            sa.Uuid(),
            sa.ForeignKey("factors.id", ondelete="CASCADE", name="fk_totp_secrets_factor_id"),
            nullable=False,
        ),
        *_sealed("sealed_secret"),
        sa.Column("last_step", sa.Integer(), nullable=False),
        _count("wrong_codes"),
        _count("wrong_codes_of_known"),
        sa.PrimaryKeyConstraint("user_id", name="pk_totp_secrets"),
        sa.UniqueConstraint("factor_id", name="uq_totp_secrets_factor_id"),
    )


def _create_totp_enrollments() -> None:
    session_id = sa.ForeignKey(
        "sessions.id", ondelete="CASCADE", name="fk_totp_enrollments_session_id"
    )
    op.create_table(
        "totp_enrollments",
        sa.Column("session_id", sa.Uuid(), session_id, nullable=False),
        _user_id("totp_enrollments"),
        *_sealed("sealed_secret"),
        _time("created_at"),
        _time("expires_at"),
        sa.PrimaryKeyConstraint("session_id", name="pk_totp_enrollments"),
    )
    op.create_index("ix_totp_enrollments_user_id", "totp_enrollments", ["user_id"])
    op.create_index("ix_totp_enrollments_expires_at", "totp_enrollments", ["expires_at"])


def _create_recovery_codes() -> None:
    op.create_table(
        "recovery_codes",
        _user_id("recovery_codes"),
        *_sealed("sealed_key"),
        sa.Column("hashes", ARRAY(sa.LargeBinary()), nullable=False),
        _time("created_at"),
        sa.PrimaryKeyConstraint("user_id", name="pk_recovery_codes"),
    )


def _user_id(table: str) -> sa.Column[object]:
    key = sa.ForeignKey("users.id", ondelete="CASCADE", name=f"fk_{table}_user_id")
    return sa.Column("user_id", sa.Uuid(), key, nullable=False)


def _sealed(name: str) -> tuple[sa.Column[object], sa.Column[object]]:
    """A value that is encrypted under SECRET_KEY, and the fingerprint of the secret."""
    return (
        sa.Column(name, sa.Text(), nullable=False),
        sa.Column("sealed_with", sa.LargeBinary(), nullable=False),
    )


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _count(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False)
