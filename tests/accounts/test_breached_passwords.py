"""Passwords that are known from breaches, looked up in a service or a file."""

import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.errors import Misconfigured
from app.main import create_app
from app.settings import Settings
from app.testing.clients import REGISTER, Api, Person

KNOWN = Person("known@example.com", "correct horse battery staple")
FRESH = Person("fresh@example.com", "unheard-of melodies 71")


def digest(password: str) -> str:
    return sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


@contextmanager
def range_service(status: int = 200, *, drips: bool = False) -> Generator[tuple[str, list[str]]]:
    """Serve the range protocol: suffixes of one range, padded with some whose count is 0."""
    asked, stopping = list[str](), Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers['Add-Padding']}")
            suffixes = [f"{digest(KNOWN.password)[5:]}:12", f"{digest(FRESH.password)[5:]}:0"]
            self.send_response(status)
            self.end_headers()
            while drips and not stopping.wait(0.2):
                self.wfile.write(b"0" * 35 + b":0\r\n")
            self.wfile.write("\r\n".join(suffixes).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/range/", asked
    finally:
        stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


@asynccontextmanager
async def guest_of(settings: Settings, **changes: Any) -> AsyncGenerator[Api]:
    app: FastAPI = create_app(settings.model_copy(update=changes))
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        yield guest


async def register(guest: Api, person: Person) -> Any:
    data = (await guest(REGISTER, input=person.registration))["register"]
    return [issue["code"] for issue in data.get("issues", ())] or data["__typename"]


@pytest.mark.usefixtures("api")
async def test_a_service_receives_only_five_characters_of_the_hash(settings: Settings) -> None:
    with range_service() as (url, asked):
        async with guest_of(settings, breached_passwords_url=SecretStr(url)) as guest:
            answers = [await register(guest, person) for person in (KNOWN, FRESH)]

    assert answers == [["PASSWORD_BREACHED"], "SignedIn"]
    assert asked[0] == f"/range/{digest(KNOWN.password)[:5]} true"


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("fault", [{"status": 503}, {"drips": True}], ids=["refuses", "drips"])
async def test_a_service_that_does_not_answer_does_not_block_registration(
    settings: Settings, caplog: pytest.LogCaptureFixture, fault: dict[str, Any]
) -> None:
    caplog.set_level(logging.WARNING)
    with range_service(**fault) as (url, _):
        async with guest_of(settings, breached_passwords_url=SecretStr(url)) as guest:
            answer = await register(guest, KNOWN)

    assert answer == "SignedIn"
    assert "breached-password service did not answer" in caplog.text
    assert KNOWN.password not in caplog.text


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("place", ["first", "middle", "last"])
async def test_a_file_of_hashes_is_searched(settings: Settings, tmp_path: Path, place: str) -> None:
    other = {"first": "F", "middle": None, "last": "0"}[place]
    lines = sorted({digest(KNOWN.password), *(digest(str(number)) for number in range(2000))})
    kept = [
        line
        for line in lines
        if other is None or line == digest(KNOWN.password) or line[0] == other
    ]
    file = tmp_path / "hashes.txt"
    file.write_text("\r\n".join(f"{line}:{number}" for number, line in enumerate(kept)))

    async with guest_of(settings, breached_passwords_file=file) as guest:
        answers = [await register(guest, person) for person in (KNOWN, FRESH)]

    assert answers == [["PASSWORD_BREACHED"], "SignedIn"]


def test_a_file_of_another_format_is_refused_at_startup(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "passwords.txt"
    file.write_text("correct horse battery staple\n")

    with pytest.raises(Misconfigured, match="SHA-1"):
        create_app(settings.model_copy(update={"breached_passwords_file": file}))
