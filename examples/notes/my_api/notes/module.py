"""What the module `notes` brings."""

from pathlib import Path

from app.module import Module
from my_api.notes.services.notes import Notes
from my_api.notes.settings import NoteSettings

MODULE = Module(
    name="notes",
    settings=NoteSettings,
    services=(Notes,),
    schema="my_api.notes.schema",
    models="my_api.notes.models",
    migrations=Path(__file__).parent / "migrations",
    commands="my_api.notes.commands",
)
