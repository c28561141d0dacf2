"""Checks of the audit: changes by the owner of the tables are found with a copy kept elsewhere."""

from scene import Scene, holds, same

TAMPERED = (
    "ALTER TABLE audit_checkpoints DISABLE TRIGGER USER",
    "DELETE FROM audit_checkpoints WHERE number = (SELECT max(number) FROM audit_checkpoints)",
    "ALTER TABLE audit_checkpoints ENABLE TRIGGER USER",
)


def the_audit_is_valid_with_the_new_secret_alone(them: Scene) -> None:
    result = them.fleet.portico("audit", "verify")
    holds(": valid." in result, result)
    them.say(result.splitlines()[0])


def a_removed_checkpoint_is_found_by_the_copy(them: Scene) -> None:
    """Runs last, as it does not undo the change."""
    fleet, copy = them.fleet, str(them.fleet.directory / "checkpoints.jsonl")
    fleet.portico("audit", "checkpoints", "export", copy)
    holds(": valid." in fleet.portico("audit", "verify", "--against", copy), "the copy agrees")
    for statement in TAMPERED:
        fleet.fetch(statement, url=fleet.url(user="portico_owner"))
    result = fleet.tried("audit", "verify", "--against", copy, DATABASE_URL=fleet.url())
    same((result.returncode, "checkpoint" in result.stderr), (1, True))
    them.say(f"an owner removed a checkpoint, and the copy shows it: {result.stderr.strip()}")
