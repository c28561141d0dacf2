"""Budgets tolerate a clock that was set back: attempts recorded in the future do not count.

Revision: 0009, after 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# The clocks of workers differ by less than this. Attempts further ahead were made before a clock
# was set back, and would lock users out until the clock has caught up.
SKEW = "interval '1 minute'"
FORMER = "t > moment - windows[i]"
FROM_NOW_ON = f"{FORMER} AND t < moment + {SKEW}"
SPEND = """
CREATE OR REPLACE FUNCTION spend(
    keys bytea[], most int[], windows interval[], moment timestamptz)
RETURNS interval LANGUAGE plpgsql AS $$
DECLARE
    waits interval := interval '0';
    kept timestamptz[];
BEGIN
    FOR i IN 1 .. cardinality(keys) LOOP
        INSERT INTO budgets VALUES (keys[i], '{{}}', moment + windows[i])
            ON CONFLICT (key) DO UPDATE SET over_at = moment + windows[i]
            RETURNING spent INTO kept;
        kept := ARRAY(SELECT t FROM unnest(kept) t WHERE {counts} ORDER BY t);
        IF cardinality(kept) >= most[i] THEN
            waits := greatest(
                waits, kept[cardinality(kept) - most[i] + 1] + windows[i] - moment);
        END IF;
    END LOOP;
    IF waits > interval '0' THEN
        -- Whoever tries ever new accounts must not fill the table with those they are refused.
        DELETE FROM budgets WHERE key = ANY(keys) AND spent = '{{}}';
        RETURN waits;
    END IF;
    FOR i IN 1 .. cardinality(keys) LOOP
        UPDATE budgets
        SET spent = ARRAY(SELECT t FROM unnest(spent) t WHERE {counts}) || moment
        WHERE key = keys[i];
    END LOOP;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.execute(SPEND.format(counts=FROM_NOW_ON))


def downgrade() -> None:
    op.execute(SPEND.format(counts=FORMER))
