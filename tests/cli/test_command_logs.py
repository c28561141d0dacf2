"""LOG_FORMAT=json: all output of a command on standard error is one JSON object per line."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_serve import NO_SERVER, SECRET
from tests.support.servers import portico

JSON = {"LOG_FORMAT": "json"}


def records(stderr: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.splitlines()]


@pytest.mark.parametrize(
    ("command", "settings", "code", "levels", "words"),
    [
        (("jobs",), {"DATABASE_URL": NO_SERVER}, 1, ["ERROR"], "SECRET_KEY is not set."),
        (("jobs",), {"LIMIT_DEPTH": "none"}, 1, ["ERROR"], "LIMIT_DEPTH "),
        (
            ("worker",),
            {"DATABASE_URL": NO_SERVER, "SECRET_KEY": SECRET},
            1,
            ["ERROR"],
            "",
        ),
        (("jobs", "retry"), {}, 1, ["ERROR"], "Pass the id of a job, or --all, --waiting or both."),
        (("serve", "--prot", "1"), {}, 2, ["ERROR"], "No such option: --prot"),
        (
            ("mail", "test", "x"),
            {"SMTP_URL": "smtp://127.0.0.1"},
            1,
            ["ERROR"],
            "x is not an email",
        ),
    ],
)
def test_an_error_of_a_command_is_a_record(
    tmp_path: Path,
    command: tuple[str, ...],
    settings: dict[str, str],
    code: int,
    levels: list[str],
    words: str,
) -> None:
    result = portico(*command, cwd=tmp_path, **settings, **JSON, FRONTEND_URL="https://a.example")

    found = records(result.stderr)
    assert (result.returncode, [each["level"] for each in found]) == (code, levels)
    assert found[0]["message"].startswith(words)
    assert found[0]["logger"] == "portico"


def test_the_output_of_a_command_is_not_a_record(tmp_path: Path) -> None:
    in_lines = portico("--help", cwd=tmp_path)
    in_records = portico("--help", cwd=tmp_path, **JSON)

    assert (in_records.stdout, in_records.stderr) == (in_lines.stdout, "")


def test_an_invalid_format_is_reported_in_the_default_format(tmp_path: Path) -> None:
    result = portico("jobs", cwd=tmp_path, LOG_FORMAT="xml")

    assert result.returncode == 1
    assert result.stderr.startswith("portico: LOG_FORMAT ")


def test_the_log_level_applies_to_every_command(tmp_path: Path) -> None:
    address = {"DATABASE_URL": NO_SERVER, "SECRET_KEY": SECRET}
    result = portico("jobs", cwd=tmp_path, **address, **JSON, LOG_LEVEL="DEBUG")

    found = records(result.stderr)
    assert [each["message"] for each in found if "exception" in each] == ["The command failed"]
