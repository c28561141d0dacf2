"""How many notes a user may create in an hour."""

from datetime import timedelta

from app.throttle.attempts import Attempt, Budget, Counted, Limit, Per

NOTES = Budget("notes", maximum=100, window=timedelta(hours=1), counts="notes created by one user")

NOTE = Attempt(
    name="NOTE",
    description="A new note.",
    limits=(Limit(NOTES, Per.USER, Counted.SUCCESSES),),
)
