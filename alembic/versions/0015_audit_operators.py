"""Only the database moves the end of a chain; the times at which the audit was verified.

Revision: 0015, after 0014
"""

import sqlalchemy as sa

from alembic import op
from app.database import online_ddl

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# Functions and operators that another role creates in the schema of the tables must not run with
# the rights of the owner: every function is called with its schema, and every argument has exactly
# the type of the function in pg_catalog, which PostgreSQL prefers to all others.
# https://www.postgresql.org/docs/15/typeconv-func.html
PART = """
CREATE OR REPLACE FUNCTION audit_part(part text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(pg_catalog.octet_length(part)::text || ':'::text || part, '-'::text)
$$
"""
HASH = """
CREATE OR REPLACE FUNCTION audit_hash(event audit_events) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.sha256(event.previous_hash || pg_catalog.convert_to(
        audit_part(event.chain::text)
        || audit_part(event.position::text)
        || audit_part(event.id::text)
        || audit_part((extract(epoch FROM event.at) * 1000000::numeric)::bigint::text)
        || audit_part(event.name::text)
        || audit_part(event.actor_id::text)
        || audit_part(event.target_id::text)
        || audit_part(pg_catalog.encode(event.ip_digest, 'hex'::text))
        || audit_part(event.request_id::text)
        || audit_part(event.details::text), 'UTF8'::name))
$$
"""
APPEND = """
CREATE OR REPLACE FUNCTION append_audit_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head audit_chains;
BEGIN
    IF NEW.at NOT BETWEEN '2000-01-01 00:00:00+00'::timestamptz
        AND '9000-01-01 00:00:00+00'::timestamptz
    THEN
        RAISE EXCEPTION 'no event can have happened at %', NEW.at
            USING ERRCODE = 'datetime_field_overflow';
    END IF;
    NEW.chain := pg_catalog.to_char(NEW.at AT TIME ZONE 'UTC'::text, 'YYYY-MM-DD'::text)
        || '/'::text || (pg_catalog.pg_backend_pid() % 8)::text;
    NEW.ip_salt := CASE WHEN NEW.ip_address IS NOT NULL
        THEN pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) END;
    NEW.ip_digest := pg_catalog.sha256(
        NEW.ip_salt || pg_catalog.convert_to(NEW.ip_address::text, 'UTF8'::name));
    INSERT INTO audit_chains
        VALUES (NEW.chain, 0, pg_catalog.sha256(pg_catalog.convert_to(NEW.chain, 'UTF8'::name)))
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
# Only times that every program can represent. A checkpoint has to follow the last one, so that none
# can be skipped, and the place of the next one cannot be taken.
FOLLOW = """
CREATE OR REPLACE FUNCTION check_audit_checkpoint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.at NOT BETWEEN '2000-01-01 00:00:00+00'::timestamptz
        AND '9000-01-01 00:00:00+00'::timestamptz
    THEN
        RAISE EXCEPTION 'no checkpoint can have been made at %', NEW.at
            USING ERRCODE = 'datetime_field_overflow';
    END IF;
    IF NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM audit_checkpoints) THEN
        RAISE EXCEPTION 'checkpoint % does not follow the last one', NEW.number
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$
"""
FOLLOW_TRIGGER = """
CREATE OR REPLACE TRIGGER follow BEFORE INSERT ON audit_checkpoints
FOR EACH ROW EXECUTE FUNCTION check_audit_checkpoint()
"""
IN_RANGE = "{} BETWEEN '2000-01-01 00:00:00+00' AND '9000-01-01 00:00:00+00'"
# The functions of 0006.
FORMER_PART = """
CREATE OR REPLACE FUNCTION audit_part(part text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(octet_length(part) || ':' || part, '-')
$$
"""
FORMER_HASH = """
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
FORMER_APPEND = """
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
# With the rights of the owner, so that the role that serves needs no rights on the ends of chains
# and cannot set one back. The search_path is set in the same statement, since a function that runs
# with the rights of its owner must not use the temporary tables of its caller.
# https://www.postgresql.org/docs/15/sql-createfunction.html#SQL-CREATEFUNCTION-SECURITY
SECURED = """
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION append_audit_event() SECURITY DEFINER SET search_path = %I, pg_temp',
        current_schema());
    EXECUTE format(
        'ALTER FUNCTION check_audit_checkpoint() SET search_path = %I, pg_temp', current_schema());
END
$$
"""
# A role that may execute a function can attach it to its own table as a trigger. The trigger of the
# audit fires without this right.
NOT_FOR_OTHERS = "REVOKE EXECUTE ON FUNCTION append_audit_event() FROM PUBLIC"


def upgrade() -> None:
    for statement in (PART, HASH, APPEND, FOLLOW, FOLLOW_TRIGGER):
        op.execute(statement)
    op.execute(SECURED)
    op.execute(NOT_FOR_OTHERS)
    op.create_table(
        "audit_verifications",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid", sa.Boolean(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("checkpoints", sa.BigInteger(), nullable=False),
        sa.Column("latest_event_at", sa.DateTime(timezone=True)),
        sa.Column("verified_by", sa.Text(), server_default=sa.text("CURRENT_USER"), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_verifications"),
        *(
            sa.CheckConstraint(IN_RANGE.format(name), name=f"ck_audit_verifications_{name}")
            for name in ("at", "latest_event_at")
        ),
        if_not_exists=True,
    )
    online_ddl.create_index(
        "ix_audit_checkpoints_heads", "audit_checkpoints", ["heads"], using="gin"
    )


def downgrade() -> None:
    online_ddl.drop_index("ix_audit_checkpoints_heads", "audit_checkpoints")
    op.drop_table("audit_verifications", if_exists=True)
    op.execute("DROP TRIGGER IF EXISTS follow ON audit_checkpoints")
    op.execute("DROP FUNCTION IF EXISTS check_audit_checkpoint")
    op.execute("GRANT EXECUTE ON FUNCTION append_audit_event() TO PUBLIC")
    for function in (FORMER_APPEND, FORMER_HASH, FORMER_PART):
        op.execute(function)
