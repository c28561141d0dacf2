"""Definitions of the tables, triggers and functions of the audit: compares them with our own."""

from collections.abc import Iterator, Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.models import AuditEvent
from app.database.grants import AUDIT_PREFIX

TABLES = [name for name in AuditEvent.metadata.tables if name.startswith(AUDIT_PREFIX)]
# Called by the functions of the triggers.
HELPER_FUNCTIONS = ["audit_part", "audit_hash", "audit_day"]
PARAMETERS = {"tables": TABLES, "helpers": HELPER_FUNCTIONS}
# For a trigger, its definition as PostgreSQL prints it; for a function, its source, the rights that
# it runs with and its search_path; for a table, the properties that could hide or lose rows. No
# migration creates a rule.
CURRENT_DEFINITIONS = text("""
    WITH audit AS (
        SELECT c.*, n.nspname AS schema FROM pg_class c
        JOIN pg_class m ON m.oid = to_regclass('audit_events') AND m.relnamespace = c.relnamespace
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = ANY(CAST(:tables AS text[]))
    ), triggers AS (
        SELECT t.*, audit.relname FROM pg_trigger t JOIN audit ON audit.oid = t.tgrelid
        WHERE NOT t.tgisinternal
    ), functions AS (
        SELECT p.* FROM pg_proc p WHERE p.oid IN (SELECT tgfoid FROM triggers)
        UNION
        SELECT p.* FROM pg_proc p
        JOIN audit ON audit.relname = 'audit_events' AND audit.relnamespace = p.pronamespace
        WHERE p.proname = ANY(CAST(:helpers AS text[]))
    )
    SELECT 'table ' || relname AS name, true AS enabled,
           concat_ws('|', relkind, relpersistence, relrowsecurity, relispartition) AS definition
    FROM audit
    UNION ALL
    SELECT format('rule %s on %s', rulename, relname), true, pg_get_ruledef(r.oid)
    FROM pg_rewrite r JOIN audit ON audit.oid = r.ev_class
    UNION ALL
    SELECT format('trigger %s on %s', tgname, relname), tgenabled IN ('O', 'A'),
           pg_get_triggerdef(oid, true)
    FROM triggers
    UNION ALL
    SELECT format('function %s(%s)', proname, pg_get_function_identity_arguments(p.oid)), true,
           concat_ws(
               '|', prosrc, lanname, provolatile, prosecdef, pg_get_function_result(p.oid),
               proowner = audit.relowner, replace(
                   array_to_string(proconfig, ','),
                   format('search_path=%I, pg_temp', audit.schema),
                   'search_path=ours, pg_temp'))
    FROM functions p JOIN pg_language l ON l.oid = p.prolang, audit
    WHERE audit.relname = 'audit_events'
""")
CURRENT_HASHES = text(
    f"SELECT name, enabled, encode(sha256(convert_to(definition, 'UTF8')), 'hex') AS hash"  # noqa: S608 - a query of ours
    f" FROM ({CURRENT_DEFINITIONS.text}) AS found ORDER BY name"
)
# SHA-256 of the definitions that the migrations of this release make; a test compares them.
DEFINITIONS: Mapping[str, str] = {
    "function append_audit_event()": (
        "1aa8a0e22e4b190d578f7c2d131ebeb98b563ef69d6388ec88e291a4d9584d27"
    ),
    "function audit_day(chain text)": (
        "e2a78aca4e5481f4fabe3b64585181baf234ba316d99a43c783dcc1881e05b1c"
    ),
    "function audit_hash(event audit_events)": (
        "4bc5e866b5e44ba35273059c74573debbae4a644fe885435a2be01388475c5b7"
    ),
    "function audit_part(part text)": (
        "d0d041a51afffa8beda23e130c2784a8aa3328ab7e3acff7143531a78ada6731"
    ),
    "function check_audit_checkpoint()": (
        "6ef62e9f38ebca785df6cb43ea1bd95a464f2d073a2aa1e50b0533053a3d60ce"
    ),
    "function check_audit_trim()": (
        "eeddc4b8b14967a6123812323b827c9a7549f3c08b359f67d836735b770b0dc9"
    ),
    "function check_sealed_with()": (
        "cba010a4cd98af88babfe155987cd134feeee7a1e246adeb41fcef36f48f0536"
    ),
    "function keep_audit_event()": (
        "7920e78c08c88f5de7a449c35ce4a66d7a228d03d0f9575ce1323a3e19d40705"
    ),
    "table audit_chains": "e05d4b074f708c02d1d2dcb03c5b2ea51c62a71637cb2fd01d502a9a835e5765",
    "table audit_checkpoints": "e05d4b074f708c02d1d2dcb03c5b2ea51c62a71637cb2fd01d502a9a835e5765",
    "table audit_events": "e05d4b074f708c02d1d2dcb03c5b2ea51c62a71637cb2fd01d502a9a835e5765",
    "table audit_verifications": "e05d4b074f708c02d1d2dcb03c5b2ea51c62a71637cb2fd01d502a9a835e5765",
    "trigger append on audit_events": (
        "a9e9a35c10db0c531a01b7dbe5f13457094eef17f97ea738861ffe89ba43ece9"
    ),
    "trigger follow on audit_checkpoints": (
        "a57e7ca63830650bbb44d53a84ceef1f4d0dee3f44cedf483efa51b6a8414614"
    ),
    "trigger keep on audit_chains": (
        "94e8521a26858bec4521e60558ecfa4f923c5238d521a4e667e34b2e74106e72"
    ),
    "trigger keep on audit_checkpoints": (
        "1a3d828199f7b178416283e2e1abf4a56184263795f8f5adae1fca6f95203030"
    ),
    "trigger keep on audit_events": (
        "ec1c7bc8f13a1d1a2f199b14d09666fa1666877ecf26363ce4af03826597ce71"
    ),
    "trigger keep_all on audit_chains": (
        "0eabcdccce3e8e9408bbff01e98d84b01b4d39cfd0e9e69dc4c3d86326412b99"
    ),
    "trigger keep_all on audit_checkpoints": (
        "7dc6ef5a0decb2fa87e3d0bcfb9538a7193ead90748cc53eaebf69af582afe8b"
    ),
    "trigger keep_all on audit_events": (
        "2ae146306468fc582818a6f07b3c5500029ad7af5e6e15a3d3893e70b8f7441c"
    ),
    "trigger sealed_with on audit_checkpoints": (
        "6f0b492024a0c11b8a44859607ed55937b671225a16d9a4d4e97c668a608ccc8"
    ),
    "trigger trim on audit_chains": (
        "5b533c49cdfee35e15234cf76413cf5f5011f4f24dbd44831625274ca9f27d74"
    ),
    "trigger trim_new on audit_chains": (
        "aacb1df92bf80c5bc657de440eeec96d4d8632d5d67fb5decc2618d14227bb56"
    ),
}


async def definitions(connection: AsyncConnection) -> dict[str, str]:
    """Returns the hash of each definition in this database."""
    return {row.name: row.hash for row in await connection.execute(CURRENT_HASHES, PARAMETERS)}


async def differences(connection: AsyncConnection) -> list[str]:
    """Returns a finding for each definition that is missing, disabled, changed or was added."""
    rows = (await connection.execute(CURRENT_HASHES, PARAMETERS)).all()
    return list(_differences({row.name: (row.enabled, row.hash) for row in rows}))


def _differences(found: Mapping[str, tuple[bool, str]]) -> Iterator[str]:
    for name in sorted({*DEFINITIONS, *found}):
        enabled, definition = found.get(name, (True, None))
        if definition is None:
            yield f"{name} is missing"
        elif name not in DEFINITIONS:
            yield f"{name} was added"
        elif not enabled:
            yield f"{name} is disabled"
        elif definition != DEFINITIONS[name]:
            yield f"{name} was changed"
