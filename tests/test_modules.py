"""Modules of other projects: all that they define is used, and errors are one line."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from graphql import (
    FieldDefinitionNode,
    GraphQLEnumType,
    ObjectTypeDefinitionNode,
    build_schema,
    parse,
)

from app.composition import build
from app.database import migrations
from app.errors import Misconfigured
from app.graphql.schema import node_kinds, print_sdl
from app.main import create_app, default_schema, parts_of
from app.modules import MODULES, branches_of, modules_named, settings_class
from app.testing.clients import Api, Person
from app.testing.commands import run
from app.testing.databases import temporary_database
from app.testing.outbox import Outbox
from app.testing.settings import settings_for
from tests.support.module_files import WriteModule, module_writer
from tests.support.servers import ROOT, free_port, portico

NOTES = ("my_api.notes",)
CREATE = 'mutation { createNote(input: {title: "Milk", body: ""}) { __typename } }'
UPDATE = 'mutation { updateNote(input: {noteId: "$note", title: "Milk"}) { __typename } }'
DELETE = 'mutation { deleteNote(input: {noteId: "$note"}) { __typename } }'
UNKNOWN_NOTE = "Note_01a2083b222b76c2921b1272dc98660f"
MUTATIONS = {"createNote": CREATE, "updateNote": UPDATE, "deleteNote": DELETE}
MODULE = "from app.module import Module\nMODULE = Module(name='own', {})"
NO_SUCH_MODULE = (
    "portico: There is no Python module no_such_package.notes: is its project installed?\n"
)
SERVICES = """
    class Missing:
        pass

    class Reminders:
        def __init__(self, missing: Missing) -> None:
            self.missing = missing
"""


@pytest.fixture
def write(tmp_path: Path) -> Iterator[WriteModule]:
    with module_writer(tmp_path) as writer:
        yield writer


@pytest.fixture(scope="module")
async def notes_url(server_url: str) -> AsyncIterator[str]:
    """A database with the tables of notes."""
    async with temporary_database(server_url) as url:
        branches = branches_of(modules_named(NOTES))
        await asyncio.to_thread(migrations.upgrade, url, branches=branches)
        yield url


@pytest.fixture(scope="module")
async def notes_app(notes_url: str) -> AsyncIterator[FastAPI]:
    app = create_app(settings_for(notes_url, modules=NOTES), mailer=Outbox())
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture(scope="module")
async def member(notes_app: FastAPI) -> AsyncIterator[Api]:
    async with Api.of(notes_app) as guest:
        person = await guest.register(Person("ada@example.com", "difference engine 1", "Ada"))
        yield await guest.login(person)


def root_fields(names: tuple[str, ...]) -> dict[str, FieldDefinitionNode]:
    document = parse(print_sdl(default_schema(modules_named(names))))
    return {
        field.name.value: field
        for definition in document.definitions
        if isinstance(definition, ObjectTypeDefinitionNode)
        and definition.name.value in {"Query", "Mutation"}
        for field in definition.fields or ()
    }


def problem_of(*names: str) -> str:
    """Load modules as a server does; returns the error in one line."""
    with pytest.raises(Misconfigured) as raised:
        load(names)
    return str(raised.value)


def load(names: tuple[str, ...]) -> None:
    modules = modules_named(names)
    node_kinds(parts_of(modules))
    default_schema(modules)


async def command_problem(*arguments: str, **environment: str) -> str:
    result = await run(*arguments, **environment)
    assert isinstance(result.exception, Misconfigured), result.output
    return str(result.exception)


def test_a_schema_has_the_fields_of_its_own_modules_and_of_no_others() -> None:
    before = print_sdl(default_schema())
    with_notes = print_sdl(default_schema(modules_named(NOTES)))
    after = print_sdl(default_schema())

    assert before == after == (ROOT / "schema.graphql").read_text(encoding="utf-8")
    assert ("createNote" in with_notes, "createNote" in after) == (True, False)
    assert ("NoteConnection" in with_notes, "NoteConnection" in after) == (True, False)


async def test_the_export_of_the_schema_has_the_fields_of_modules(tmp_path: Path) -> None:
    path = tmp_path / "schema.graphql"

    await run("schema", "export", "--path", str(path), MODULES="my_api.notes")

    exported = path.read_text(encoding="utf-8")
    assert exported == print_sdl(default_schema(modules_named(NOTES)))


def test_root_fields_of_a_module_print_their_access_level() -> None:
    new = {name: each for name, each in root_fields(NOTES).items() if name not in root_fields(())}

    assert set(new) == set(MUTATIONS)
    assert all("access" in {each.name.value for each in new[name].directives or ()} for name in new)


@pytest.mark.parametrize("name", MUTATIONS)
async def test_guarded_fields_of_a_module_are_refused_to_guests(
    notes_app: FastAPI, name: str
) -> None:
    async with Api.of(notes_app) as guest:
        data = await guest(MUTATIONS[name].replace("$note", UNKNOWN_NOTE))

    assert (data, guest.last_code) == ({name: None}, "UNAUTHENTICATED")


@pytest.mark.parametrize("name", MUTATIONS)
async def test_guarded_fields_of_a_module_are_open_to_their_access_level(
    member: Api, name: str
) -> None:
    data = await member(MUTATIONS[name].replace("$note", UNKNOWN_NOTE))

    assert (data[name]["__typename"], member.errors) == (
        "NoteSaved" if name == "createNote" else "NotFound",
        [],
    )


async def test_the_columns_of_a_module_are_read_by_plans_as_by_the_stock_executor(
    notes_url: str, member: Api
) -> None:
    ask = "{ me { notes { nodes { title body createdAt } } } }"
    await member(CREATE)
    settings = settings_for(notes_url, modules=NOTES, execution_plans="none")
    stock = create_app(settings, mailer=Outbox())
    async with stock.router.lifespan_context(stock), Api.of(stock) as guest:
        answers = [
            await client(ask) for client in (member, guest.with_bearer(str(member.access_token)))
        ]

    assert answers[0] == answers[1]
    assert answers[0]["me"]["notes"]["nodes"][0]["title"] == "Milk"


async def test_a_page_of_a_module_costs_as_much_as_its_size(member: Api) -> None:
    pages = " ".join(f"p{number}: notes(first: 100) {{ nodes {{ title }} }}" for number in range(9))

    await member(f"{{ users(first: 100) {{ nodes {{ {pages} }} }} }}")

    assert member.errors[0]["extensions"]["limit"] == "cost"


async def test_an_upgrade_creates_the_tables_of_modules(empty_url: str) -> None:
    environment = {"DATABASE_URL": empty_url, "SECRET_KEY": "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA"}
    await run("db", "upgrade", **environment)
    unmigrated = await command_problem("notes", "count", MODULES="my_api.notes", **environment)

    await run("db", "upgrade", MODULES="my_api.notes", **environment)
    counted = await run("notes", "count", MODULES="my_api.notes", **environment)

    assert unmigrated == "The database has not been migrated. Run `portico db upgrade`."
    assert counted.stdout == "0\n"


async def test_a_server_is_not_ready_without_the_tables_of_its_modules(migrated_url: str) -> None:
    parts = build(settings_for(migrated_url, modules=NOTES))
    message = await parts.unready()
    await parts.stop()

    assert message == "The database has not been migrated. Run `portico db upgrade`."


async def test_a_server_without_a_module_serves_on_a_database_that_has_it(notes_url: str) -> None:
    parts = build(settings_for(notes_url))
    await parts.start()
    message = await parts.unready()
    await parts.stop()

    assert message is None


async def test_settings_of_modules_are_read_and_shown() -> None:
    shown = await run("settings", MODULES="my_api.notes", NOTES_MAX="7")

    [line] = [each for each in shown.stdout.splitlines() if each.startswith("NOTES_MAX")]
    assert line.split() == ["NOTES_MAX", "environment", "7"]


async def test_the_budget_of_a_module_has_a_setting() -> None:
    shown = await run("settings", "--markdown", MODULES="my_api.notes")

    [line] = [each for each in shown.stdout.splitlines() if each.startswith("| `THROTTLE_NOTES`")]
    assert line == "| `THROTTLE_NOTES` | 100 | notes created by one user, per hour |"


async def test_a_misspelled_setting_of_the_budget_of_a_module_is_an_error_that_names_it() -> None:
    message = await command_problem("settings", MODULES="my_api.notes", THROTTLE_NOTE="7")

    assert "Did you mean THROTTLE_NOTES?" in message


async def test_a_misspelling_of_a_setting_of_a_module_is_an_error_that_names_it() -> None:
    message = await command_problem("settings", MODULES="my_api.notes", NOTES_MAXX="7")

    assert "NOTES_MAXX" in message
    assert "NOTES_MAX?" in message


async def test_an_invalid_setting_of_a_module_is_reported_in_one_line() -> None:
    message = await command_problem("settings", MODULES="my_api.notes", NOTES_MAX="0")

    assert message.startswith("NOTES_MAX")
    assert "\n" not in message


def test_a_module_that_does_not_exist_is_reported() -> None:
    assert problem_of("no_such_package.notes") == (
        "There is no Python module no_such_package.notes.module: is its project installed?"
    )


def test_a_package_without_a_module_is_reported(write: WriteModule) -> None:
    name = write(module="")

    assert problem_of(name) == f"The Python module {name}.module must define MODULE, a Module"


def test_a_syntax_error_is_reported_with_its_file_and_line(
    write: WriteModule, tmp_path: Path
) -> None:
    name = write(module="x = 1\ny = = 2\n")

    file = tmp_path / name / "module.py"
    assert problem_of(name) == (
        f"{name}.module cannot be imported: invalid syntax ({file}, line 2)"
    )


def test_an_error_during_an_import_is_reported_with_its_file_and_line(
    write: WriteModule, tmp_path: Path
) -> None:
    name = write(module="import no_such_library\n")

    file = tmp_path / name / "module.py"
    assert problem_of(name) == (
        f"{name}.module cannot be imported: ModuleNotFoundError: "
        f"No module named 'no_such_library' ({file}, line 1)"
    )


def test_two_modules_with_the_same_name_are_refused(write: WriteModule) -> None:
    first = write(module=MODULE.format(""))
    second = write(module=MODULE.format(""))

    assert problem_of(first, second) == (
        f"The module own is defined twice: by {first} and {second}"
    )


def test_a_module_must_not_redefine_a_setting_of_portico(write: WriteModule) -> None:
    name = write(
        module="""
            from pydantic import BaseModel
            from app.module import Module

            class Own(BaseModel):
                log_level: str = "x"

            MODULE = Module(name="own", settings=Own)
        """
    )

    assert problem_of(name) == f"The setting log_level is defined twice: by Portico and {name}"


def test_a_module_must_not_redefine_an_audit_event_of_portico(write: WriteModule) -> None:
    name = write(
        module="""
            from app.audit.events import EventName
            from app.module import Module

            class Own(EventName):
                DELETED = "user.deleted", "something of the same name"

            MODULE = Module(name="own", events=Own)
        """
    )

    assert problem_of(name) == (
        f"The audit event user.deleted is defined twice: by app.accounts and {name}"
    )


LIMITS = """
    from datetime import timedelta
    from app.throttle.attempts import Attempt, Budget, Counted, Limit, Per

    BUDGET = Budget("%s", maximum=5, window=timedelta(hours=1), counts="tries of one user")
    ATTEMPT = Attempt(
        name="%s", description="A try.", limits=(Limit(BUDGET, Per.USER, Counted.ALL),)
    )
"""
LIMITED = """
    import strawberry
    from app.graphql.access import member_field
    from app.graphql.schema_part import SchemaPart
    from PACKAGE.limits import ATTEMPT

    @strawberry.type
    class Queries:
        @member_field(description="Something limited.", limited_as=ATTEMPT)
        async def tried(self) -> bool:
            return True

    SCHEMA = SchemaPart(queries=(Queries,))
"""
BRINGS_ATTEMPT = "from PACKAGE.limits import ATTEMPT\n" + MODULE.format("attempts=(ATTEMPT,)")


def limits(budget: str, attempt: str) -> str:
    return LIMITS % (budget, attempt)


def test_an_existing_budget_is_refused(write: WriteModule) -> None:
    name = write(module=BRINGS_ATTEMPT, limits=limits("sign_ups", "TRY"))

    assert problem_of(name) == f"The budget sign_ups is defined twice: by app.accounts and {name}"


def test_a_budget_with_an_existing_setting_is_refused(write: WriteModule) -> None:
    name = write(module=BRINGS_ATTEMPT, limits=limits("scale", "TRY"))

    assert (
        problem_of(name)
        == f"The setting throttle_scale is defined twice: by app.throttle and {name}"
    )


def test_an_existing_attempt_is_refused(write: WriteModule) -> None:
    name = write(module=BRINGS_ATTEMPT, limits=limits("tries", "SIGN_UP"))

    assert problem_of(name) == f"The attempt SIGN_UP is defined twice: by app.accounts and {name}"


@pytest.mark.parametrize(
    ("budget", "attempt", "message"),
    [
        ("Tries!", "TRY", "'Tries!' is not the name of a budget, such as 'sign_ups'"),
        ("tries", "try", "'try' is not the name of an attempt, such as 'SIGN_UP'"),
    ],
)
def test_an_invalid_name_of_a_budget_or_attempt_is_refused(
    write: WriteModule, budget: str, attempt: str, message: str
) -> None:
    name = write(module=BRINGS_ATTEMPT, limits=limits(budget, attempt))

    assert problem_of(name).startswith(f"{name}.module cannot be imported: ValueError: {message} (")


def test_a_field_limited_as_an_unknown_attempt_is_refused(write: WriteModule) -> None:
    name = write(
        module=MODULE.format("schema='PACKAGE.schema'"),
        limits=limits("tries", "TRY"),
        schema=LIMITED,
    )

    assert problem_of(name) == (
        f"The field Query.tried of {name}.schema is limited as TRY, "
        "which is not among the attempts of any module"
    )


def test_a_module_may_charge_a_budget_of_another_one(write: WriteModule) -> None:
    name = write(
        module=BRINGS_ATTEMPT,
        limits="""
            from app.accounts.limits import WRONG_PASSWORD
            from app.throttle.attempts import Attempt

            ATTEMPT = Attempt(name="TRY", description="A try.", limits=(WRONG_PASSWORD,))
        """,
    )

    settings = settings_class(modules_named((name,)))

    assert settings.model_fields.keys() == settings_class(MODULES).model_fields.keys()


def test_each_schema_has_the_attempts_of_its_own_modules(write: WriteModule) -> None:
    name = write(
        module=BRINGS_ATTEMPT.replace("attempts=", "schema='PACKAGE.schema', attempts="),
        limits=limits("tries", "TRY"),
        schema=LIMITED,
    )

    schemas = [default_schema(modules_named(names)) for names in ((name,), NOTES, ())]
    texts = [print_sdl(each) for each in schemas]

    own = attempts_in(print_sdl(default_schema()))
    assert [attempts_in(each) for each in texts] == [[*own, "TRY"], [*own, "NOTE"], own]
    assert "@rateLimited(as: TRY)" in texts[0]


def attempts_in(sdl: str) -> list[str]:
    enum = build_schema(sdl).get_type("Attempt")
    assert isinstance(enum, GraphQLEnumType)
    return list(enum.values)


def test_a_module_must_not_redefine_a_field_of_a_type(write: WriteModule) -> None:
    name = write(
        module=MODULE.format("schema='PACKAGE.schema'"),
        schema="""
            import strawberry
            from app.graphql.schema_part import SchemaPart
            from app.users.schema import User

            @strawberry.type
            class UserNames:
                @strawberry.field(description="Another one.")
                def display_name(self) -> str:
                    return ""

            SCHEMA = SchemaPart(fields={User: UserNames})
        """,
    )

    assert problem_of(name) == (
        "The field User.displayName is defined twice: by app.users.schema.User and "
        f"{name}.schema.UserNames"
    )


def test_a_module_must_not_redefine_a_root_field(write: WriteModule) -> None:
    name = write(
        module=MODULE.format("schema='PACKAGE.schema'"),
        schema="""
            import strawberry
            from app.graphql.schema_part import SchemaPart

            @strawberry.type
            class Queries:
                @strawberry.field(description="Another one.")
                def me(self) -> str:
                    return ""

            SCHEMA = SchemaPart(queries=(Queries,))
        """,
    )

    assert problem_of(name) == (
        "The field Query.me is defined twice: by app.people.schema.users.UserQueries and "
        f"{name}.schema.Queries"
    )


def test_a_module_must_not_redefine_a_node(write: WriteModule) -> None:
    name = write(
        module=MODULE.format("schema='PACKAGE.schema'"),
        schema="""
            from app.graphql.schema_part import SchemaPart

            async def session(info, session_id):
                return None

            SCHEMA = SchemaPart(nodes={"Session": session})
        """,
    )

    message = problem_of(name)
    assert message.startswith("The node Session is defined twice: by app.sessions.schema.")
    assert message.endswith(f" and {name}.schema.session")


async def test_a_module_must_not_redefine_a_command(write: WriteModule) -> None:
    name = write(
        module=MODULE.format(""), commands="import typer\nCOMMANDS = typer.Typer(name='keys')\n"
    )

    with pytest.raises(Misconfigured) as raised:
        await run("keys", MODULES=name)

    assert str(raised.value) == f"The command `portico keys` of {name}.commands exists already"


@pytest.mark.parametrize("arguments", [(), ("--help",), ("db", "--help")])
def test_help_is_printed_if_a_module_cannot_be_loaded(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    broken = portico(*arguments, cwd=tmp_path, MODULES="no_such_package.notes")
    working = portico(*arguments, cwd=tmp_path)

    assert (broken.returncode, broken.stdout) == (working.returncode, working.stdout)
    assert broken.stderr.removesuffix(working.stderr) == NO_SUCH_MODULE


@pytest.mark.parametrize("arguments", [("db", "upgrade"), ("users", "list"), ("notes", "count")])
def test_no_command_runs_if_a_module_cannot_be_loaded(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    result = portico(*arguments, cwd=tmp_path, MODULES="no_such_package.notes")

    assert (result.returncode, result.stdout, result.stderr) == (1, "", NO_SUCH_MODULE)
    assert [each.suffix for each in tmp_path.iterdir()] == [".log"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"module": "x = = 1\n"}, "invalid syntax"),
        (
            {"module": MODULE.format("schema='PACKAGE.schema'"), "schema": "1 / 0\n"},
            "division by zero",
        ),
        (
            {
                "module": MODULE.format("services=(Reminders,)").replace(
                    "\n", "\nfrom PACKAGE.services import Reminders\n"
                ),
                "services": SERVICES,
            },
            "No module provides Missing, which Reminders (",
        ),
    ],
    ids=["a syntax error", "a schema that fails", "a service that no module provides"],
)
def test_a_server_reports_an_invalid_module_in_one_line(
    write: WriteModule, tmp_path: Path, files: dict[str, Any], message: str
) -> None:
    name = write(**files)

    result = portico(
        "serve", "--port", str(free_port()), cwd=tmp_path, MODULES=name, PYTHONPATH=str(tmp_path)
    )

    lines = result.stderr.strip().splitlines()
    assert (result.returncode, len(lines)) == (1, 1), result.stderr
    assert lines[0].startswith("portico: ")
    assert message in lines[0]
    assert ", line " in lines[0]
    assert name in lines[0] or os.fspath(tmp_path) in lines[0]
