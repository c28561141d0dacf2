"""Budgets: recent attempts, under keys that do not reveal who made them.

Revision: 0007, after 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Not in the WAL: no attempt waits for a disk. After a crash of the database all budgets are full
# again; nothing else is lost.
TABLE = """
CREATE UNLOGGED TABLE budgets (
    key bytea NOT NULL CONSTRAINT pk_budgets PRIMARY KEY,
    spent timestamptz[] NOT NULL,
    over_at timestamptz NOT NULL
)
"""
# Spends from all budgets or from none, and returns how long to wait. The keys are sorted, which
# prevents deadlocks; the locks are held for this one statement.
SPEND = """
CREATE FUNCTION spend(keys bytea[], most int[], windows interval[], moment timestamptz)
RETURNS interval LANGUAGE plpgsql AS $$
DECLARE
    waits interval := interval '0';
    kept timestamptz[];
BEGIN
    FOR i IN 1 .. cardinality(keys) LOOP
        INSERT INTO budgets VALUES (keys[i], '{}', moment + windows[i])
            ON CONFLICT (key) DO UPDATE SET over_at = moment + windows[i]
            RETURNING spent INTO kept;
        kept := ARRAY(SELECT t FROM unnest(kept) t WHERE t > moment - windows[i] ORDER BY t);
        IF cardinality(kept) >= most[i] THEN
            waits := greatest(
                waits, kept[cardinality(kept) - most[i] + 1] + windows[i] - moment);
        END IF;
    END LOOP;
    IF waits > interval '0' THEN
        -- Whoever tries ever new accounts must not fill the table with those they are refused.
        DELETE FROM budgets WHERE key = ANY(keys) AND spent = '{}';
        RETURN waits;
    END IF;
    FOR i IN 1 .. cardinality(keys) LOOP
        UPDATE budgets
        SET spent = ARRAY(SELECT t FROM unnest(spent) t WHERE t > moment - windows[i]) || moment
        WHERE key = keys[i];
    END LOOP;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.execute(TABLE)
    op.create_index("ix_budgets_over_at", "budgets", ["over_at"])
    op.execute(SPEND)


def downgrade() -> None:
    op.execute("DROP FUNCTION spend")
    op.drop_table("budgets")
