"""Audit events in chains: each has the hash of the event before it, and none can be changed.

Revision: 0006, after 0005
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op
from app.database import online_ddl

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Each part is preceded by its length, so that no two events have the same encoding.
# `app/security/evidence.py` does the same in Python; a test compares the two.
PART = """
CREATE OR REPLACE FUNCTION audit_part(part text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(octet_length(part) || ':' || part, '-')
$$
"""
HASH = """
CREATE OR REPLACE FUNCTION audit_hash(event audit_events) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(event.previous_hash || convert_to(
        audit_part(event.chain)
        || audit_part(event.position::text)
        || audit_part(event.id::text)
        || audit_part((extract(epoch FROM event.at) * 1000000)::bigint::text)
        || audit_part(event.name)
        || audit_part(event.actor_id::text)
        || audit_part(event.target_id::text)
        || audit_part(encode(event.ip_digest, 'hex'))
        || audit_part(event.request_id)
        || audit_part(event.details::text), 'UTF8'))
$$
"""
# Eight chains a day: a writer locks its chain until the end of its transaction, so eight
# transactions write at the same time without waiting for each other.
APPEND = """
CREATE OR REPLACE FUNCTION append_audit_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head audit_chains;
BEGIN
    NEW.chain := to_char(NEW.at AT TIME ZONE 'UTC', 'YYYY-MM-DD') || '/' || pg_backend_pid() % 8;
    NEW.ip_salt := CASE WHEN NEW.ip_address IS NOT NULL THEN uuid_send(gen_random_uuid()) END;
    NEW.ip_digest := sha256(NEW.ip_salt || convert_to(NEW.ip_address, 'UTF8'));
    INSERT INTO audit_chains VALUES (NEW.chain, 0, sha256(convert_to(NEW.chain, 'UTF8')))
        ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT head FROM audit_chains WHERE chain = NEW.chain FOR UPDATE;
    NEW.position := head.position + 1;
    NEW.previous_hash := head.hash;
    NEW.hash := audit_hash(NEW);
    UPDATE audit_chains SET position = NEW.position, hash = NEW.hash WHERE chain = NEW.chain;
    RETURN NEW;
END
$$
"""
# One change is allowed: erasing the IP address and its salt.
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
    RAISE EXCEPTION '% on % is not allowed: what happened stays', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$
"""
TRIGGERS = (
    ("append", "BEFORE INSERT", "audit_events", "FOR EACH ROW", "append_audit_event"),
    ("keep", "BEFORE UPDATE OR DELETE", "audit_events", "FOR EACH ROW", "keep_audit_event"),
    ("keep_all", "BEFORE TRUNCATE", "audit_events", "", "keep_audit_event"),
    ("keep", "BEFORE UPDATE OR DELETE", "audit_checkpoints", "FOR EACH ROW", "keep_audit_event"),
    ("keep_all", "BEFORE TRUNCATE", "audit_checkpoints", "", "keep_audit_event"),
)
# Earlier events become a separate chain, in their order. A thousand at a time, each in its own
# transaction: an interrupted run continues where it stopped, and a transaction that erases IP
# addresses waits for at most one batch.
ADOPT = """
DO $$
DECLARE
    event audit_events;
    latest uuid := '00000000-0000-0000-0000-000000000000';
    previous bytea;
    number bigint;
BEGIN
    LOOP
        SELECT position, hash INTO number, previous FROM audit_chains WHERE chain = 'before';
        number := coalesce(number, 0);
        previous := coalesce(previous, sha256(convert_to('before', 'UTF8')));
        FOR event IN
            SELECT * FROM audit_events WHERE id > latest ORDER BY id LIMIT 1000 FOR UPDATE
        LOOP
            latest := event.id;
            CONTINUE WHEN event.chain IS NOT NULL;
            number := number + 1;
            event.chain := 'before';
            event.position := number;
            event.previous_hash := previous;
            event.ip_salt :=
                CASE WHEN event.ip_address IS NOT NULL THEN uuid_send(gen_random_uuid()) END;
            event.ip_digest := sha256(event.ip_salt || convert_to(event.ip_address, 'UTF8'));
            previous := audit_hash(event);
            UPDATE audit_events
            SET chain = event.chain, position = number, previous_hash = event.previous_hash,
                hash = previous, ip_salt = event.ip_salt, ip_digest = event.ip_digest
            WHERE id = event.id;
        END LOOP;
        EXIT WHEN NOT FOUND;
        INSERT INTO audit_chains VALUES ('before', number, previous)
            ON CONFLICT (chain) DO UPDATE SET position = number, hash = previous;
        COMMIT;
    END LOOP;
END
$$
"""
ALWAYS = ("chain", "position", "previous_hash", "hash")
CHAINED = "ck_audit_events_chained"
# A temporary constraint, replaced by NOT NULL.
DROP_CHAINED = f"""
-- squawk-ignore ban-drop-constraint
ALTER TABLE audit_events DROP CONSTRAINT IF EXISTS {CHAINED}
"""


def upgrade() -> None:
    # From here on new events are chained, also those of the previous release. Everything so far is
    # repeatable, since the next step commits it.
    _make_chains()
    with op.get_context().autocommit_block():
        op.execute(ADOPT)
    _require_chains()
    online_ddl.create_index(
        "uq_audit_events_chain_position", "audit_events", ["chain", "position"], unique=True
    )
    online_ddl.create_index("ix_audit_events_actor_id_id", "audit_events", ["actor_id", "id"])
    op.execute(
        "ALTER TABLE audit_events ADD CONSTRAINT uq_audit_events_chain_position "
        "UNIQUE USING INDEX uq_audit_events_chain_position"
    )
    for name in ALWAYS:
        op.alter_column("audit_events", name, nullable=False)
    op.execute(DROP_CHAINED)
    for trigger in TRIGGERS[1:]:
        _make_trigger(*trigger)


def _make_chains() -> None:
    op.create_table(
        "audit_chains",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("signed_position", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("chain", name="pk_audit_chains"),
        if_not_exists=True,
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("heads", postgresql.JSONB(), nullable=False),
        sa.Column("sealed_public_key", sa.Text(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit_checkpoints"),
        if_not_exists=True,
    )
    for name, kind in {
        "chain": sa.Text(),
        "position": sa.BigInteger(),
        "previous_hash": sa.LargeBinary(),
        "hash": sa.LargeBinary(),
        "ip_salt": sa.LargeBinary(),
        "ip_digest": sa.LargeBinary(),
    }.items():
        op.add_column("audit_events", sa.Column(name, kind), if_not_exists=True)
    for function in (PART, HASH, APPEND, KEEP):
        op.execute(function)
    _make_trigger(*TRIGGERS[0])


def _require_chains() -> None:
    """Set NOT NULL without a scan of the table: a validated CHECK constraint replaces the scan."""
    there = " AND ".join(f"{name} IS NOT NULL" for name in ALWAYS)
    op.execute(DROP_CHAINED)
    op.execute(f"ALTER TABLE audit_events ADD CONSTRAINT {CHAINED} CHECK ({there}) NOT VALID")
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE audit_events VALIDATE CONSTRAINT {CHAINED}")


def _make_trigger(name: str, when: str, table: str, each: str, function: str) -> None:
    op.execute(
        f"CREATE OR REPLACE TRIGGER {name} {when} ON {table} {each} EXECUTE FUNCTION {function}()"
    )


def downgrade() -> None:
    for name, _, table, _, _ in TRIGGERS:
        op.execute(f"DROP TRIGGER {name} ON {table}")
    op.drop_table("audit_checkpoints")
    op.execute("DROP FUNCTION append_audit_event")
    op.execute("DROP FUNCTION keep_audit_event")
    op.execute("DROP FUNCTION audit_hash")
    op.execute("DROP FUNCTION audit_part")
    op.drop_table("audit_chains")
    op.drop_index("ix_audit_events_actor_id_id", "audit_events")
    op.drop_constraint("uq_audit_events_chain_position", "audit_events")
    for name in ("chain", "position", "previous_hash", "hash", "ip_salt", "ip_digest"):
        op.drop_column("audit_events", name)
