"""The settings of notes."""

from pydantic import BaseModel, Field


class NoteSettings(BaseModel):
    notes_max: int = Field(default=1000, ge=1, description="how many notes one user may have")
