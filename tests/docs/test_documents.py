"""README.md, CONTRIBUTING.md and docs/: each block can be run, and names what exists."""

import pytest

from tests.docs.commands import unknown_commands
from tests.docs.pages import InvalidDocument, read
from tests.docs.places import ROOT, documents
from tests.docs.settings import known_names, unknown_names

KNOWN = known_names()


def source_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", documents())
def test_each_block_has_a_language_that_is_checked(name: str) -> None:
    assert read(name, source_of(name)).name == name


@pytest.mark.parametrize("name", documents())
def test_each_command_of_portico_exists_with_its_options(name: str) -> None:
    assert list(unknown_commands(name, source_of(name))) == []


@pytest.mark.parametrize("name", documents())
def test_each_setting_exists(name: str) -> None:
    assert list(unknown_names(name, source_of(name), KNOWN)) == []


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        (
            "`portico users forget ADA`",
            ["a.md: portico users forget ADA: there is no command forget"],
        ),
        (
            "`portico jobs retry --every`",
            ["a.md: portico jobs retry --every: there is no option --every"],
        ),
        (
            "```sh\nSECRET_KEY=new portico keys rotate now | cat\n```\n",
            ["a.md:1: portico keys rotate now: 1 arguments, where 0 are taken"],
        ),
        (
            "```console\n$ portico audit proof\nvalid\n```\n",
            ["a.md:1: portico audit proof: there is no command proof"],
        ),
        ("`portico users show\\|sessions USER [--json]`, `portico jobs retry ID\\|--all`", []),
        ("`portico serve [--host --port --workers]`, `portico users import - --from auth0`", []),
    ],
)
def test_a_command_that_does_not_exist_is_found(source: str, faults: list[str]) -> None:
    assert list(unknown_commands("a.md", source)) == faults


@pytest.mark.parametrize(
    ("source", "unknown"),
    [
        ("`THROTTLE_EVERYTHING` and `SMTP_URL_FILE`", ["THROTTLE_EVERYTHING"]),
        ("```sh\nPUBLIC_ADDRESS=https://id.example.com portico serve\n```\n", ["PUBLIC_ADDRESS"]),
        ("```sh\necho $MY_OWN\n```\n`MY_OWN`, `OTEL_SERVICE_NAME`, `RATE_LIMITED`", []),
    ],
)
def test_a_setting_that_does_not_exist_is_found(source: str, unknown: list[str]) -> None:
    faults = [f"a.md: {name} is no setting, and nothing else that exists" for name in unknown]
    assert list(unknown_names("a.md", source, KNOWN)) == faults


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("```\nportico serve\n```\n", "a.md:1: a block of no language"),
        ("\n```cobol\nSTOP RUN.\n```\n", "a.md:2: a block of cobol"),
        ("<!-- not run here -->\n```sh\nfalse\n```\n", "a.md:1: say why"),
        ("<!-- not run here: -->\n```sh\nfalse\n```\n", "a.md:1: say why"),
        ("```sh\ntrue\n", "a.md: a block is not closed"),
    ],
)
def test_a_block_that_would_not_be_checked_is_an_error(source: str, fault: str) -> None:
    with pytest.raises(InvalidDocument, match=f"^{fault}"):
        read("a.md", source)
