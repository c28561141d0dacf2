"""Device tokens and session tokens that end with the password; limits that are reported.

Revision: 0011, after 0010
"""

import sqlalchemy as sa

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Spends from all budgets or from none, and returns how long to wait. The keys are sorted, which
# prevents deadlocks. Attempts further ahead than clocks differ were made before a clock was set
# back, and do not count. A refusal is counted in the budget that caused it, until it is reported; a
# budget from which nothing was spent has no row.
CHARGE = """
CREATE FUNCTION charge_budgets(
    keys bytea[], names text[], targets uuid[], most integer[], windows interval[],
    addresses text[], moment timestamptz)
RETURNS interval LANGUAGE plpgsql AS $$
DECLARE
    waits interval := interval '0';
    kept timestamptz[];
    full_ones integer[] := '{}';
BEGIN
    FOR i IN 1 .. cardinality(keys) LOOP
        INSERT INTO budgets (key, spent, over_at) VALUES (keys[i], '{}', moment + windows[i])
            ON CONFLICT (key) DO UPDATE SET over_at = moment + windows[i]
            RETURNING spent INTO kept;
        kept := ARRAY(
            SELECT t FROM unnest(kept) t
            WHERE t > moment - windows[i] AND t < moment + interval '1 minute' ORDER BY t);
        IF cardinality(kept) >= most[i] THEN
            full_ones := full_ones || i;
            waits := greatest(
                waits, kept[cardinality(kept) - most[i] + 1] + windows[i] - moment);
        END IF;
    END LOOP;
    IF waits > interval '0' THEN
        DELETE FROM budgets WHERE key = ANY(keys) AND spent = '{}' AND refused = 0;
        FOR i IN 1 .. cardinality(keys) LOOP
            UPDATE budgets
            SET refused = refused + 1,
                refused_from = coalesce(refused_from, moment),
                refused_until = coalesce(refused_until, moment + windows[i]),
                name = names[i],
                target_id = targets[i],
                ip_address = coalesce(ip_address, addresses[i])
            WHERE key = keys[i] AND i = ANY(full_ones);
        END LOOP;
        RETURN waits;
    END IF;
    FOR i IN 1 .. cardinality(keys) LOOP
        UPDATE budgets
        SET spent = ARRAY(
            SELECT t FROM unnest(spent) t
            WHERE t > moment - windows[i] AND t < moment + interval '1 minute') || moment
        WHERE key = keys[i];
    END LOOP;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    zero = sa.text("0")
    op.add_column(
        "users", sa.Column("device_generation", sa.Integer(), server_default=zero, nullable=False)
    )
    op.add_column(
        "sessions", sa.Column("first_generation", sa.Integer(), server_default=zero, nullable=False)
    )
    op.add_column("sessions", sa.Column("rotated_by", sa.LargeBinary()))
    op.create_table(
        "password_failures",
        sa.Column("account", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("in_a_row", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name="fk_password_failures_user_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account", "source", name="pk_password_failures"),
    )
    op.create_index("ix_password_failures_user_id", "password_failures", ["user_id"])
    op.add_column(
        "budgets", sa.Column("refused", sa.Integer(), server_default=zero, nullable=False)
    )
    for column in (
        sa.Column("refused_from", sa.DateTime(timezone=True)),
        sa.Column("refused_until", sa.DateTime(timezone=True)),
        sa.Column("name", sa.Text()),
        sa.Column("target_id", sa.Uuid()),
        sa.Column("ip_address", sa.Text()),
    ):
        op.add_column("budgets", column)
    op.execute(CHARGE)


def downgrade() -> None:
    op.execute("DROP FUNCTION charge_budgets")
    for name in (
        "ip_address",
        "target_id",
        "name",
        "refused_until",
        "refused_from",
        "refused",
    ):
        op.drop_column("budgets", name)
    op.drop_table("password_failures")
    op.drop_column("sessions", "rotated_by")
    op.drop_column("sessions", "first_generation")
    op.drop_column("users", "device_generation")
