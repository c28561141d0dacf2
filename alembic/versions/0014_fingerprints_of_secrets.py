"""Fingerprints of secrets, and a refusal of rows that are sealed with a revoked one.

Revision: 0014, after 0013
"""

import sqlalchemy as sa

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Until a leak is declared every secret is accepted, also that of a server of the previous release,
# which names none. After that, only known secrets that are not revoked: a server with a leaked
# secret can neither add a signing key nor sign the audit.
CHECK = """
CREATE FUNCTION check_sealed_with() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM secret_fingerprints WHERE declared_at IS NOT NULL)
        AND NOT EXISTS (
            SELECT FROM secret_fingerprints
            WHERE fingerprint = NEW.sealed_with AND revoked_at IS NULL
        )
    THEN
        RAISE EXCEPTION '% on % is not allowed: the secret that sealed it is not in force',
            TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$
"""
KEEP = """
CREATE FUNCTION keep_revoked_secret() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is not allowed: a revoked secret stays revoked', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$
"""
TRIGGERS = {
    ("sealed_with", "signing_keys"): (
        "BEFORE INSERT OR UPDATE ON signing_keys FOR EACH ROW EXECUTE FUNCTION check_sealed_with()"
    ),
    ("sealed_with", "audit_checkpoints"): (
        "BEFORE INSERT ON audit_checkpoints FOR EACH ROW EXECUTE FUNCTION check_sealed_with()"
    ),
    ("keep", "secret_fingerprints"): (
        "BEFORE UPDATE OR DELETE ON secret_fingerprints FOR EACH ROW"
        " WHEN (OLD.revoked_at IS NOT NULL) EXECUTE FUNCTION keep_revoked_secret()"
    ),
    ("keep_all", "secret_fingerprints"): (
        "BEFORE TRUNCATE ON secret_fingerprints EXECUTE FUNCTION keep_revoked_secret()"
    ),
}


def upgrade() -> None:
    op.create_table(
        "secret_fingerprints",
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_on", sa.Text(), nullable=False),
        sa.Column("last_sealed_at", sa.DateTime(timezone=True)),
        sa.Column("declared_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_secret_fingerprints"),
    )
    op.add_column("signing_keys", sa.Column("sealed_with", sa.LargeBinary()))
    op.add_column("audit_checkpoints", sa.Column("sealed_with", sa.LargeBinary()))
    op.add_column("audit_checkpoints", sa.Column("epoch_mac", sa.LargeBinary()))
    op.execute(CHECK)
    op.execute(KEEP)
    for (name, _), what in TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} {what}")


def downgrade() -> None:
    for name, table in TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON {table}")
    op.execute("DROP FUNCTION keep_revoked_secret")
    op.execute("DROP FUNCTION check_sealed_with")
    op.drop_column("audit_checkpoints", "epoch_mac")
    op.drop_column("audit_checkpoints", "sealed_with")
    op.drop_column("signing_keys", "sealed_with")
    op.drop_table("secret_fingerprints")
