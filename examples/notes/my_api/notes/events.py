"""Audit events of notes."""

from app.audit.events import EventName


class NoteEvent(EventName):
    NOTE_CREATED = "note.created", "a user created a note"
