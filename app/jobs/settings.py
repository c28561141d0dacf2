"""The settings of the module `jobs`."""

from pydantic import BaseModel, Field


class JobSettings(BaseModel):
    jobs_worker: bool = Field(
        default=True,
        description="whether `portico serve` runs jobs; false without a `portico worker`: no "
        "email is sent",
    )
    jobs_retake_seconds: int = Field(
        default=30,
        ge=2,
        le=3600,
        description="if a worker sends no heartbeat for this long, other workers take its "
        "jobs; too short: jobs run twice",
    )
    jobs_keep_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="how long the record of a finished job is kept, and a job that failed after "
        "its last try",
    )
