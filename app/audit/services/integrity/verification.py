"""Walking the audit: every event hashed anew, every chain to its end, every signature checked."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.services.checkpoint_files import Checkpoint
from app.audit.services.integrity.chains import check_ends, check_events, check_unsigned
from app.audit.services.integrity.checkpoint_signatures import CheckpointSignatures
from app.audit.services.integrity.copies import compare
from app.audit.services.integrity.definitions import differences
from app.audit.services.integrity.findings import Broken, Walk
from app.audit.services.integrity.records import VerificationRecords, check_former
from app.audit.services.integrity.removals import check_announcements, check_stumps
from app.audit.services.integrity.rows import AS_INDEXED
from app.database.database import Database
from app.database.grants import Excess, excess_of_granted
from app.database.migration_table import TABLE
from app.database.migrations import head
from app.security.keys import Secrets

REVISION = text(f"SELECT version_num FROM {TABLE}")  # noqa: S608 - a name of ours
# Whoever removes all of the audit leaves the people of whom it told.
EMPTIED = text(
    "SELECT NOT EXISTS (SELECT FROM audit_chains) AND EXISTS (SELECT FROM users) AS emptied"
)


@dataclass(frozen=True, slots=True)
class Verification:
    db: Database
    secrets: Secrets
    records: VerificationRecords

    async def walk(
        self,
        progress: Callable[[int], object] | None = None,
        against: Iterable[Checkpoint] | None = None,
    ) -> Walk:
        """Check all of it, as it is at one moment: writers go on meanwhile.

        `against` are checkpoints that were kept elsewhere, in the order of their numbers.

        Raises:
            Broken: names the first event, chain and checkpoint that was altered, removed, moved or
                put in, and everything else that is not as this release has made it.
            InvalidFile: from `against`.

        """
        found = await self.look(progress, against)
        if found.findings:
            raise Broken(*found.findings)
        return found

    async def look(
        self,
        progress: Callable[[int], object] | None = None,
        against: Iterable[Checkpoint] | None = None,
    ) -> Walk:
        """Do the same, and return with what was found."""
        found, signatures = Walk(), CheckpointSignatures(self.secrets)
        async with self.db.unlimited_connection() as connection:
            snapshot = await connection.execution_options(isolation_level="REPEATABLE READ")
            await snapshot.execute(AS_INDEXED)
            found.epoch = await signatures.epoch(snapshot)
            with found.noticing():
                await signatures.check(snapshot, found)
            found.checkpoints_valid = not found.findings
            with found.noticing():
                await check_announcements(snapshot, found, self.secrets)
            with found.noticing():
                await check_stumps(snapshot, found)
            with found.noticing():
                await check_events(snapshot, found, progress)
            with found.noticing():
                await check_ends(snapshot, found)
            with found.noticing():
                check_unsigned(found)
            with found.noticing():
                await _check_emptied(snapshot)
            with found.noticing():
                check_former(await self.records.longest_valid(snapshot), found)
            with found.noticing():
                await _check_definitions(snapshot)
            if against is not None:
                with found.noticing():
                    await compare(snapshot, found, against)
            found.warnings += await _excess(snapshot)
        return found


async def _check_emptied(connection: AsyncConnection) -> None:
    if (await connection.execute(EMPTIED)).scalar_one():
        raise Broken("the audit is empty though there are users: all of it was removed")


async def _check_definitions(connection: AsyncConnection) -> None:
    # A newer release may have changed them.
    if head() not in (await connection.scalars(REVISION)).all():
        return
    different = await differences(connection)
    if different:
        raise Broken(*different)


async def _excess(connection: AsyncConnection) -> list[str]:
    """Say which of the roles that serve can do more than serving takes."""
    return [f"{excess}. {_mend(excess)}" for excess in await excess_of_granted(connection)]


def _mend(excess: Excess) -> str:
    if excess.mend is None:
        return f"`portico db grant {excess.role}` takes away what it was given"
    return f"What takes that away is {excess.mend}"
