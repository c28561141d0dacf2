"""What the module `notes` brings."""

from pathlib import Path

from app.jobs.handlers import Handles
from app.module import Module, Periodic
from my_api.notes.claims import claims
from my_api.notes.emails import EMAILS
from my_api.notes.events import NoteEvent
from my_api.notes.limits import NOTE
from my_api.notes.services.changes import NoteChanges
from my_api.notes.services.notes import Notes
from my_api.notes.services.reminders import Reminders, WeeklyEmail
from my_api.notes.settings import NoteSettings

HOUR_SECONDS = 3600

MODULE = Module(
    name="notes",
    services=(Notes, NoteChanges, Reminders),
    schema="my_api.notes.schema.part",
    models="my_api.notes.models",
    migrations=Path(__file__).parent / "migrations",
    settings=NoteSettings,
    jobs=(Handles(WeeklyEmail, Reminders, Reminders.send),),
    periodic=(Periodic(Reminders, Reminders.enqueue_due, HOUR_SECONDS, in_worker=True),),
    attempts=(NOTE,),
    claims=claims,
    emails=EMAILS,
    events=NoteEvent,
)
