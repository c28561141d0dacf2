"""Names of audit events, as modules declare them."""

import pytest

from app.audit.events import EventName, EventNames
from app.modules import MODULES, event_names
from app.testing.clients import Api

NAME_DESCRIPTION = '{ __type(name: "AuditEvent") { fields { name description } } }'


class NoteEvent(EventName):
    CREATED = "note.created"
    DELETED = "note.deleted", "a note was deleted by its owner"


@pytest.mark.parametrize("name", ["created", "note.", "Note.created", "note.created.twice", "n e"])
def test_a_name_is_a_noun_and_a_verb(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not a noun and a verb, such as 'note.created'"):
        EventName("Wrong", {"NAME": name})


def test_two_modules_do_not_share_a_name() -> None:
    with pytest.raises(ValueError, match=r"^audit events are declared twice: note\.created$"):
        EventNames.of(NoteEvent, EventName("Other", {"CREATED": "note.created"}))


def test_names_are_described_in_the_order_of_the_alphabet() -> None:
    names = EventNames.of(NoteEvent, EventName("Other", {"A": ("idea.had", "a good one")}))

    assert names.described == (
        "`idea.had` (a good one), `note.created`, `note.deleted` (a note was deleted by its owner)"
    )


async def test_the_schema_lists_every_name_with_its_meaning(api: Api) -> None:
    fields = (await api(NAME_DESCRIPTION))["__type"]["fields"]
    (description,) = [each["description"] for each in fields if each["name"] == "name"]

    assert description == f"What happened. One of {event_names(MODULES).described}."
    assert [name for name in event_names(MODULES).names if not name.meaning] == []
