"""Audit retention: whole days may be removed once their end is signed and removal was announced.

Revision: 0010, after 0009
"""

import sqlalchemy as sa

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# The day of a chain is in its name. The chain of events from before there were chains has no day in
# its name: its day is that on which it was signed. `app/audit/services/integrity/` does the same in
# Python.
DAY = """
CREATE FUNCTION audit_day(chain text) RETURNS date LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN chain ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}/' THEN left(chain, 10)::date
    ELSE (
        SELECT (at AT TIME ZONE 'UTC')::date FROM audit_checkpoints
        WHERE heads ? chain ORDER BY number LIMIT 1
    ) END
$$
"""
# Removal is announced, the announcement is signed, and only then events are removed. By the clock
# of the database, a day must have been over for at least another day. An announcement never covers
# its own day, so the newest announcement is never removed.
TRIM = """
CREATE FUNCTION check_audit_trim() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    day date := audit_day(NEW.chain);
    announced text := (
        SELECT max(event.details->>'before' COLLATE "C")
        FROM audit_events event JOIN audit_chains chains ON chains.chain = event.chain
        WHERE event.name = 'audit.trimmed' AND event.position <= chains.signed_position
            AND event.details->>'before' COLLATE "C"
                <= to_char(event.at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
    );
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.chain = OLD.chain
        AND NEW.trimmed_position > OLD.trimmed_position
        AND NEW.trimmed_position <= NEW.position
        AND NEW.signed_position = NEW.position
        AND to_char(day, 'YYYY-MM-DD') COLLATE "C" < announced
        AND day < (now() AT TIME ZONE 'UTC')::date - 1
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'trimming chain % to position % is not allowed', NEW.chain, NEW.trimmed_position
        USING ERRCODE = 'insufficient_privilege',
            DETAIL = 'Only chains that are signed to their end, of days that are over and that a '
                'signed event audit.trimmed covers, can be trimmed.';
END
$$
"""
# As in 0006, and in addition: an event may be deleted once its chain is trimmed to its position.
KEEP = """
CREATE OR REPLACE FUNCTION keep_audit_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'audit_events' AND TG_OP = 'UPDATE' THEN
        OLD.ip_address := NULL;
        OLD.ip_salt := NULL;
        IF OLD IS NOT DISTINCT FROM NEW THEN
            RETURN NEW;
        END IF;
    END IF;
    {trimmed}
    RAISE EXCEPTION '% on % is not allowed: what happened stays', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$
"""
TRIMMED = """
    IF TG_TABLE_NAME = 'audit_events' AND TG_OP = 'DELETE' THEN
        IF OLD.position <= (
            SELECT trimmed_position FROM audit_chains WHERE chain = OLD.chain
        ) THEN
            RETURN OLD;
        END IF;
    END IF;
"""
# Appending an event changes neither column and inserts 0, so it fires none of these.
TRIGGERS = {
    "trim": (
        "BEFORE UPDATE OF chain, trimmed_position ON audit_chains"
        " FOR EACH ROW EXECUTE FUNCTION check_audit_trim()"
    ),
    "trim_new": (
        "BEFORE INSERT ON audit_chains FOR EACH ROW WHEN (NEW.trimmed_position <> 0)"
        " EXECUTE FUNCTION check_audit_trim()"
    ),
    "keep": "BEFORE DELETE ON audit_chains FOR EACH ROW EXECUTE FUNCTION keep_audit_event()",
    "keep_all": "BEFORE TRUNCATE ON audit_chains EXECUTE FUNCTION keep_audit_event()",
}


def upgrade() -> None:
    op.add_column(
        "audit_chains",
        sa.Column("trimmed_position", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.execute(DAY)
    op.execute(TRIM)
    op.execute(KEEP.format(trimmed=TRIMMED))
    for name, what in TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {name} {what}")


def downgrade() -> None:
    for name in TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON audit_chains")
    op.execute(KEEP.format(trimmed=""))
    op.execute("DROP FUNCTION check_audit_trim")
    op.execute("DROP FUNCTION audit_day")
    op.drop_column("audit_chains", "trimmed_position")
