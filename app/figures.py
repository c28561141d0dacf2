"""Figures: what the parts of a worker have counted, handed on to its metrics now and then."""

from dataclasses import dataclass

from app.graphql.documents import Documents
from app.http.gate import Gate
from app.http.metrics import Metrics
from app.portico import Portico


@dataclass(frozen=True, slots=True)
class Figures:
    portico: Portico
    documents: Documents
    gate: Gate
    metrics: Metrics

    async def hand_on(self) -> None:
        """Hand on what is known here."""
        tokens, tries = self.portico.services.access_tokens.remembered, self.portico.worker.tries
        self.metrics.take(
            {
                "portico_connections": len(self.gate.connections),
                "portico_database_connections": self.portico.db.taken,
                "portico_hashing_places_taken": self.portico.passwords.places_taken,
                "portico_document_cache_hits": self.documents.hits,
                "portico_document_cache_misses": self.documents.misses,
                "portico_token_cache_hits": tokens.hits,
                "portico_token_cache_misses": tokens.misses,
                "portico_budgets_refused": self.portico.budgets.refused,
                "portico_job_tries_done": tries[True],
                "portico_job_tries_failed": tries[False],
            }
        )

    async def hand_on_jobs(self) -> None:
        """Hand on what the database knows of the queue."""
        waiting = await self.portico.jobs.waiting()
        failed = len(await self.portico.jobs.failed())
        self.metrics.take(
            {"portico_jobs_waiting": sum(waiting.values()), "portico_jobs_failed": failed}
        )

    async def hand_on_audit(self) -> None:
        """Hand on when the audit was last verified, by whichever `portico audit verify`."""
        last = await self.portico.verification.last()
        self.metrics.take(
            {
                "portico_audit_verified_timestamp_seconds": last.at.timestamp() if last else 0,
                "portico_audit_verified_ok": bool(last and last.valid),
            }
        )
