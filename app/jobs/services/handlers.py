"""The handlers of all jobs, by the names of the jobs."""

from collections.abc import Mapping
from typing import NewType

from app.jobs.handlers import Handler

Handlers = NewType("Handlers", Mapping[str, Handler])
