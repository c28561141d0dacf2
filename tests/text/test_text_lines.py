"""Lines of text that people write: names and reasons, in any script."""

import json
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from sqlalchemy import text

from app.database.database import Database
from app.settings import Settings
from app.testing.clients import REGISTER, Api, Person
from app.text.text_lines import is_line, normalised
from tests.accounts.test_profile import UPDATE
from tests.people.test_administration import CREATE, SUSPEND
from tests.people.test_user_files import run

NAMES = {
    "Persian, with a non-joiner": "علی\u200cرضا",  # noqa: RUF001 - as it is written
    "Sinhala, with a joiner after a virama": "ශ්\u200dරී",
    "Marathi eyelash ra": "दर्\u200dया",
    "Malayalam chillu in its older spelling": "അവന്\u200d",
    "Bengali ya-phalaa after ra": "র\u200d্যাচেল",
    "Hebrew with points": "דָּוִד",
    "Thai": "สมชาย",
    "Vietnamese": "Nguyễn Thị Ánh",
    "Japanese, of a registered variant": "葛\U000e0100城 太郎",
    "Mongolian, with a variation selector": "ᠨᠠᠷᠠ\u180b",
    "Mongolian, with a vowel separator": "ᠬᠠᠷ\u180eᠠ",
    "Korean": "김민준",
    "an apostrophe": "O’Neil",  # noqa: RUF001 - as it is written
    "a middle dot": "Gal·la",
    "mathematical letters, which stay as they are": "𝔄𝔡𝔞",  # noqa: RUF001 - as it is written
    "a sign that NFKC would rewrite": "Ada™️ ﬁ",
    "a profession": "👩\u200d💻",
    "a profession with a skin tone": "👩🏽\u200d🚀",
    "a family": "👨\u200d👩\u200d👧\u200d👦",
    "a heart with a presentation selector": "Ada ❤️",
    "text presentation": "☺\ufe0e",
    "a rainbow flag": "🏳️\u200d🌈",
    "the flag of a country": "🇮🇳",
    "the flag of a subdivision": "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "a keycap": "1️⃣",
    "an emoji of Unicode 17": "\U0001facd",
}
NO_NAMES = {
    "a lone joiner": "\u200d",
    "a joiner at the end": "Ada\u200d",
    "a joiner between Latin letters": "A\u200dda",
    "a non-joiner between Latin letters": "A\u200cda",
    "a non-joiner at the end": "علی\u200c",
    "a joiner between an emoji and a letter": "👩\u200da",
    "a joiner between digits": "1\u200d2",
    "a zero-width space": "A\u200bda",
    "a byte order mark": "\ufeffAda",
    "a soft hyphen": "A\u00adda",
    "a right-to-left override": "\u202eadA",
    "a left-to-right mark": "Ada\u200e",
    "an Arabic letter mark": "Ada\u061c",
    "an isolate": "\u2066Ada\u2069",
    "a word joiner": "A\u2060da",
    "a combining grapheme joiner": "A\u034fda",
    "a Hangul filler": "\u3164",
    "a variation selector after a letter": "A\ufe0fda",
    "a supplementary variation selector after a letter": "A\U000e0101da",
    "tags that no flag begins": "Ada\U000e0041\U000e007f",
    "a flag with a message": "🏴"
    + "".join(chr(0xE0000 + ord(c)) for c in "attackers")
    + "\U000e007f",
    "a line break": "Ada\nLovelace",
    "a line separator": "Ada\u2028Lovelace",
    "a control": "Ada\x07",
    "a private use character": "Ada\ue000",
    "a noncharacter": "Ada\uffff",
    "an unassigned character": "Ada\u0378",
    "nothing but a mark": "\u0301",
    "nothing that can be seen": "\u2800",
}
FORMS = {
    "spaces at the ends": ("  Ada ", "Ada"),
    "several spaces": ("Ada   Lovelace", "Ada Lovelace"),
    "an ideographic space": ("山田\u3000太郎", "山田 太郎"),
    "a no-break space": ("Ada\u00a0Lovelace", "Ada Lovelace"),
    "a decomposed letter": ("Zoe\u0308", "Zo\u00eb"),
    "a non-joiner that changes nothing": ("امیر\u200cحسین", "امیرحسین"),
}
FIND = """
query Find($search: String!) {
  users(filter: {search: $search}) { nodes { displayName } }
}
"""
# Refused anywhere in a line.
NEVER = "\u200b\u200e\u202a\u202e\u2060\u2066\ufeff\u00ad\u034f\u061c\u3164\n\x07\ue000"
JOINERS = "\u200c\u200d"
VARIATIONS = "\ufe0e\ufe0f\U000e0100\u180b"
PIECES = st.sampled_from(
    [*"a1 برعء\u0301\u094d\u09b0\u0915葛ᠨ👩💻🏴🏽", *NEVER, *JOINERS, *VARIATIONS]
)
TEXTS = st.text() | st.lists(PIECES).map("".join)


async def renamed(client: Api, name: str | None) -> Any:
    return (await client(UPDATE, input={"displayName": name}))["updateProfile"]


async def test_names_in_all_scripts_are_stored_unchanged(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)

    answers = {kind: await renamed(laptop, name) for kind, name in NAMES.items()}

    assert answers == {kind: {"user": {"displayName": name}} for kind, name in NAMES.items()}


async def test_a_name_with_invisible_characters_is_refused(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)

    answers = {kind: await renamed(laptop, name) for kind, name in NO_NAMES.items()}

    issue = {"path": ["displayName"], "code": "INVALID_FORMAT"}
    assert answers == {kind: {"issues": [issue]} for kind in NO_NAMES}
    assert await laptop("{ me { displayName } }") == {"me": {"displayName": ada.name}}


async def test_a_name_is_stored_in_its_normal_form(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)

    answers = {kind: await renamed(laptop, name) for kind, (name, _) in FORMS.items()}

    assert answers == {kind: {"user": {"displayName": form}} for kind, (_, form) in FORMS.items()}


async def test_all_inputs_that_are_lines_of_text_follow_the_same_rules(
    api: Api, grace: Person
) -> None:
    admin = await api.login(grace)
    answers: dict[str, list[str]] = {}
    for number, line in enumerate([*NAMES.values(), *NO_NAMES.values()]):
        new = {"email": f"{number}@example.com", "displayName": line}
        password = {"password": "difference engine 1"}
        invited = await admin(CREATE, input=new)
        registered = await api(REGISTER, input=new | password | {"email": f"r{new['email']}"})
        suspended = await admin(SUSPEND, input={"userId": grace.id, "reason": line})
        data: dict[str, Any] = {**invited, **registered, **suspended}
        answers[line] = [data[each]["__typename"] for each in data]

    # The last administrator cannot be suspended, but the reason was accepted.
    accepted = ["UserChanged", "SignedIn", "LastAdministrator"]
    good = dict.fromkeys(NAMES.values(), accepted)
    assert answers == good | {line: ["InvalidInput"] * 3 for line in NO_NAMES.values()}


async def test_an_import_accepts_names_in_all_scripts_and_users_with_an_empty_name(
    api: Api, db: Database, tmp_path: Path, settings: Settings
) -> None:
    names = [*NAMES.values(), *NO_NAMES.values(), ""]
    people = [
        {"email": f"{number}@example.com", "displayName": name} for number, name in enumerate(names)
    ]
    file = tmp_path / "people.ndjson"
    file.write_text("\n".join(map(json.dumps, people)))
    assert settings.database_url is not None
    assert settings.secret_key is not None

    answer = await run(
        "users",
        "import",
        str(file),
        "--skip-invalid",
        DATABASE_URL=settings.database_url.get_secret_value(),
        SECRET_KEY=settings.secret_key.get_secret_value(),
    )

    rows = await db.rows(text("SELECT display_name FROM users"))
    assert {row[0] for row in rows} == {*NAMES.values(), None}
    assert f"{len(NO_NAMES)} lines skipped" in answer.stdout
    assert api.errors == []


async def test_a_search_finds_a_name_in_all_its_spellings(api: Api, grace: Person) -> None:
    admin = await api.login(grace)
    persian = NAMES["Persian, with a non-joiner"]
    for name, typed in ((persian, persian[:5]), *map(reversed, FORMS.values())):
        await renamed(admin, name)
        data = await admin(FIND, search=typed)
        assert data == {"users": {"nodes": [{"displayName": name}]}}


@pytest.mark.parametrize("character", ["a", "é", "ش", "👩", "🇩🇪"])
async def test_a_name_has_up_to_a_hundred_code_points(
    api: Api, ada: Person, character: str
) -> None:
    laptop, longest = await api.login(ada), character * (100 // len(character))

    assert await renamed(laptop, longest) == {"user": {"displayName": longest}}
    assert await renamed(laptop, longest + "a") == {
        "issues": [{"path": ["displayName"], "code": "TOO_LONG"}]
    }


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(written=TEXTS)
def test_normalising_is_idempotent(written: str) -> None:
    assert normalised(normalised(written)) == normalised(written)


@hypothesis.settings(max_examples=500, deadline=None)
@hypothesis.given(written=TEXTS)
def test_no_accepted_line_contains_a_refused_character(written: str) -> None:
    line = normalised(written)
    hypothesis.assume(is_line(line))

    assert not set(line) & set(NEVER)
    assert line[0] not in JOINERS + VARIATIONS
    assert not any(pair in line for pair in _pairs(JOINERS) | _pairs(VARIATIONS))


@hypothesis.given(
    line=st.sampled_from([*NAMES.values()]),
    place=st.integers(1, 3),
    character=st.sampled_from(NEVER),
)
def test_one_refused_character_anywhere_makes_a_line_invalid(
    line: str, place: int, character: str
) -> None:
    hypothesis.assume(place < len(line))

    assert not is_line(normalised(line[:place] + character + line[place:]))


@hypothesis.given(names=st.lists(st.sampled_from([*NAMES.values()]), min_size=1, max_size=8))
def test_valid_names_joined_by_spaces_are_a_valid_name(names: list[str]) -> None:
    line = " ".join(names)

    assert (normalised(line), is_line(line)) == (line, True)


def _pairs(characters: str) -> set[str]:
    return {first + second for first in characters for second in characters}
