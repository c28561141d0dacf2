"""The blocks of a page are run as they are printed, and a page that shows something else fails."""

from pathlib import Path

import psutil
import pytest

from tests.docs.pages import read
from tests.docs.places import Place
from tests.docs.running import run
from tests.docs.shell import Failed

TOKEN = "pot_gr9og3ABXcPKoGsIRtaMlfwnGtenu1Y7PsJhXYMtoKk"
PRINTS_A_TOKEN = "printf 'pot_%043d\\n' 7"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        "```sh\necho 1\n```\n\n```text\n1\n```\n",
        "```sh\necho 1\n```\nNot its output:\n\n```text\n2\n```\n",
        "```sh\necho 1\n```\nIts output:\n\n<!-- output -->\n```text\n1\n```\n",
        "```sh\nprintf 'a\\nb\\nc\\n'\n```\n\n```text\n…\nc\n```\n",
        "```sh\ndate -u +%Y-%m-%dT%H:%M:%SZ\n```\n\n```text\n2020-01-31T12:00:00Z\n```\n",
        "```sh\nNAME=Ada\n```\n```sh\necho $NAME\n```\n\n```text\nAda\n```\n",
        "```sh\nmkdir a\ncd a\n```\n```sh\necho ${PWD##*/}\n```\n\n```text\na\n```\n",
        "```console\n$ false\n$ echo $?\n1\n```\n",
        "```console\n$ cat a\ncat: a: No such file or directory\n```\n",
        "<!-- run\nNAME=Ada\n-->\n```sh\ntest $NAME = Ada\n```\n",
        "<!-- typed\nAda\n-->\n```sh\nread -r -p 'Name: ' NAME; test $NAME = Ada\n```\n",
        "<!-- not run here: needs Docker -->\n```sh\nfalse\n```\n",
        "- In a list:\n\n    ```sh\n    cat <<END\n    1\n    END\n    ```\n",
        "```graphql\n{ me { email } }\n```\n",
        '```toml title="a.toml"\na = 1\n```\n```sh\ncat a.toml\n```\n\n```text\na = 1\n```\n',
        (
            '```toml title="a.toml"\na = 1\nb = 2\n```\n'
            '```diff title="a.toml"\n a = 1\n-b = 2\n+b = 3\n```\n'
            '<!-- append -->\n```toml title="a.toml"\nc = 4\n```\n'
            "```sh\ncat a.toml\n```\n\n```text\na = 1\nb = 3\n\n\nc = 4\n```\n"
        ),
    ],
)
def test_a_page_that_is_as_printed_passes(place: Place, source: str) -> None:
    run(read("a.md", source), place)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("```sh\necho 1\n```\n\n```json\n2\n```\n", "a.md:5: shown:\n2\n\nprinted:\n1"),
        ("```sh\nfalse\ntrue\n```\n", "a.md:1: exit code 1"),
        ("```sh\nno-such-command\n```\n", "a.md:1: exit code 127"),
        ("```sh\necho $NOT_SET\n```\n", "a.md:1: exit code 1"),
        ("```console\n$ echo 1\n2\n```\n", "a.md:1: [$] echo 1\nshown:\n2"),
        ("<!-- run\nfalse\n-->\n", "a.md:1: exit code 1"),
        (
            "```sh\ntrue\n```\n```graphql\n{ me { emails } }\n```\n",
            "a.md:4: Cannot query field 'emails'",
        ),
        ("```graphql\n{ me {\n```\n", "a.md:1: Syntax Error"),
        ("```jinja\n{% block body %}\n```\n", "a.md:1: line 1: Unexpected end of template"),
        ("```toml\na = \n```\n", "a.md:1: Invalid value"),
        ("```yaml\na: b: c\n```\n", "a.md:1: mapping values are not allowed here"),
        ("```json\n{a}\n```\n", "a.md:1: Expecting property name"),
        ('```yaml title="deploy/compose.yaml"\na: 1\n```\n', "a.md:1: deploy/compose.yaml says"),
        (
            '```toml title="a.toml"\na = 1\n```\n```diff title="a.toml"\n-b = 2\n+b = 3\n```\n',
            "a.md:4: 0 places of the file have these lines:\nb = 2",
        ),
        (
            "```text\nno server\n```\n<!-- output of the server -->\n```text\n1\n```\n",
            "a.md:5: no server",
        ),
    ],
)
def test_a_page_that_is_not_as_printed_fails(place: Place, source: str, fault: str) -> None:
    with pytest.raises(Failed, match=f"(?s)^{fault}"):
        run(read("a.md", source), place)


def test_a_token_that_is_shown_stands_for_the_one_that_was_printed(place: Place) -> None:
    shown = f"```text\n{TOKEN}\n```\n"
    source = (
        f"```sh\n{PRINTS_A_TOKEN} | tee printed\n```\n\n{shown}```sh\ngrep {TOKEN} printed\n```\n"
    )

    run(read("a.md", source), place)


def test_the_address_of_the_document_is_one_of_the_page_alone(place: Place) -> None:
    source = "```sh\necho http://127.0.0.1:8000/graphql | tee printed\n```\n\n```text\nhttp://127.0.0.1:8000/graphql\n```\n"

    run(read("a.md", source), place)

    assert (place.checkout / "printed").read_text() == f"http://127.0.0.1:{place.port}/graphql\n"


def test_nothing_that_a_page_starts_is_left(place: Place) -> None:
    run(read("a.md", "```sh\nsleep 600 & echo $! >pid\n```\n"), place)

    assert not psutil.pid_exists(int((place.checkout / "pid").read_text()))
