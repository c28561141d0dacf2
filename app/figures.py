"""Figures: what the parts of a process have counted, handed on to its metrics now and then."""

from dataclasses import dataclass

from app.engine.documents import Documents
from app.http.metrics import Metrics
from app.jobs.metrics import JobMetrics
from app.jobs.services.queue import Jobs
from app.portico import Portico
from app.server.connection_limits import ConnectionLimiter

FIGURES_SECONDS = 5
BACKLOG_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Figures:
    portico: Portico
    documents: Documents
    limiter: ConnectionLimiter
    metrics: Metrics

    async def hand_on(self) -> None:
        """Hand on what is known here."""
        tokens = self.portico.services.access_tokens.remembered
        fleet = self.portico.services.fleet_secrets
        self.metrics.take(
            {
                "portico_connections": len(self.limiter.connections),
                "portico_database_connections": self.portico.db.taken,
                "portico_hashing_places_taken": self.portico.passwords.places_taken,
                "portico_secrets_unknown": len(fleet.state.lacking),
                "portico_document_cache_hits": self.documents.hits,
                "portico_document_cache_misses": self.documents.misses,
                "portico_token_cache_hits": tokens.hits,
                "portico_token_cache_misses": tokens.misses,
                "portico_budgets_refused": self.portico.budgets.refused,
                **self._of_the_replica(),
            }
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

    def _of_the_replica(self) -> dict[str, float]:
        replica = self.portico.replica
        if replica.replica is None:
            return {}
        figures: dict[str, float] = {"portico_replica_in_use": int(replica.is_in_use)}
        if replica.lag_seconds is not None:
            figures["portico_replica_lag_seconds"] = replica.lag_seconds
        return figures


@dataclass(frozen=True, slots=True)
class JobFigures:
    jobs: Jobs
    metrics: JobMetrics

    async def hand_on(self) -> None:
        """Hand on what the database knows of the queue."""
        self.metrics.take(await self.jobs.backlog())
