"""The audit events of all modules."""

from app.accounts.events import AccountEvent
from app.audit.events import EventNames, RetentionEvent
from app.people.events import PeopleEvent
from app.sessions.events import SessionEvent
from app.throttle.events import ThrottleEvent

EVENT_NAMES = EventNames.of(AccountEvent, PeopleEvent, SessionEvent, ThrottleEvent, RetentionEvent)
