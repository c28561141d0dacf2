"""Audit events of rate limits."""

from app.audit.events import EventName


class ThrottleEvent(EventName):
    RATE_LIMIT_EXCEEDED = "rate_limit.exceeded", "more was tried than a limit allows"
