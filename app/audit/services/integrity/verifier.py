"""Verifies the audit: every event, every chain, every checkpoint, and what keeps them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.services.checkpoint_files import Checkpoint
from app.audit.services.integrity.chains import check_ends, check_events, check_unsigned
from app.audit.services.integrity.checkpoint_copies import compare_with_file
from app.audit.services.integrity.checkpoint_signatures import CheckpointSignatures
from app.audit.services.integrity.definitions import differences
from app.audit.services.integrity.records import VerificationRecords, check_earlier_record
from app.audit.services.integrity.removals import check_announcements, check_trimmed_chains
from app.audit.services.integrity.report import AuditReport, InvalidAudit
from app.audit.services.integrity.rows import NO_SORT
from app.database.database import Database
from app.database.grants import ExcessPrivileges, excess_privileges_of_granted_roles
from app.database.migration_table import TABLE
from app.database.revisions import head
from app.security.keys import Secrets

REVISION = text(f"SELECT version_num FROM {TABLE}")  # noqa: S608 - a name of ours
# Where there are users, there are events about them.
IS_EMPTIED = text(
    "SELECT NOT EXISTS (SELECT FROM audit_chains) AND EXISTS (SELECT FROM users) AS emptied"
)


@dataclass(frozen=True, slots=True)
class AuditVerifier:
    db: Database
    secrets: Secrets
    records: VerificationRecords

    async def verify(
        self,
        progress: Callable[[int], object] | None = None,
        file: Iterable[Checkpoint] | None = None,
    ) -> AuditReport:
        """Verify all of the audit in one snapshot, without blocking writers.

        Reports the first event, the first chain and the first checkpoint that was altered, removed,
        moved or inserted, and everything else that differs from what this release has made.

        Args:
            progress: Called with the number of events that are verified so far.
            file: Copies of checkpoints in the order of their numbers, to compare with.

        Raises:
            InvalidFile: from `file`.

        """
        report, signatures = AuditReport(), CheckpointSignatures(self.secrets)
        async with self.db.unlimited_connection() as connection:
            snapshot = await connection.execution_options(isolation_level="REPEATABLE READ")
            await snapshot.execute(NO_SORT)
            report.epoch = await signatures.epoch(snapshot)
            with report.collecting_findings():
                await signatures.check(snapshot, report)
            report.checkpoints_valid = not report.findings
            with report.collecting_findings():
                await check_announcements(snapshot, report, self.secrets)
            with report.collecting_findings():
                await check_trimmed_chains(snapshot, report)
            with report.collecting_findings():
                await check_events(snapshot, report, progress)
            with report.collecting_findings():
                await check_ends(snapshot, report)
            with report.collecting_findings():
                check_unsigned(report)
            with report.collecting_findings():
                await _check_emptied(snapshot)
            with report.collecting_findings():
                check_earlier_record(await self.records.longest_valid(snapshot), report)
            with report.collecting_findings():
                await _check_definitions(snapshot)
            if file is not None:
                with report.collecting_findings():
                    await compare_with_file(snapshot, report, file)
            report.warnings += await _excess_rights(snapshot)
        return report


async def _check_emptied(connection: AsyncConnection) -> None:
    if (await connection.execute(IS_EMPTIED)).scalar_one():
        raise InvalidAudit("the audit is empty although there are users: all of it was removed")


async def _check_definitions(connection: AsyncConnection) -> None:
    # In a database of a newer release they may differ.
    if head() not in (await connection.scalars(REVISION)).all():
        return
    findings = await differences(connection)
    if findings:
        raise InvalidAudit(*findings)


async def _excess_rights(connection: AsyncConnection) -> list[str]:
    """Returns a warning for each role that serves with more rights than serving needs."""
    return [
        f"{excess}. {_remedy(excess)}"
        for excess in await excess_privileges_of_granted_roles(connection)
    ]


def _remedy(excess: ExcessPrivileges) -> str:
    if excess.remedy is None:
        return f"`portico db grant {excess.role}` revokes the rights that it was given"
    return f"To revoke it: {excess.remedy}"
