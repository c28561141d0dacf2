"""Where the time of one process goes: operations in process, without the network, under cProfile.

`--plans off` runs the same on graphql-core's executor alone.
"""

import argparse
import asyncio
import cProfile
import io
import pstats
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import uvloop
from asked import Asked, SignedIn, all_asked, sign_in_administrators
from script import run_script
from stage import (
    CHEAP_HASHES,
    PUBLIC_URL,
    UNTHROTTLED,
    Stage,
    machine,
    say,
    stage,
    write_result,
)

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.main import create_app
from app.modules import MODULES, settings_class

CONCURRENCY = 32
LINES = 30
Call = Callable[[], Awaitable[None]]


def main(options: argparse.Namespace) -> None:
    with stage(options.people) as set_up:
        with set_up.portico({**CHEAP_HASHES, **UNTHROTTLED}, name="portico-login") as server:
            sessions = sign_in_administrators(set_up, server, CONCURRENCY)
        text = uvloop.run(_measured(set_up, sessions, options))
        about = [f"- {name}: {value}" for name, value in machine(set_up).items()]
    name = "profile.md" if options.plans == "on" else "profile-without-plans.md"
    write_result(name, "\n".join([text, *about, ""]))


async def _measured(set_up: Stage, sessions: list[SignedIn], options: argparse.Namespace) -> str:
    values: dict[str, Any] = {
        "_env_file": None,
        "database_url": set_up.database_url,
        "secret_key": set_up.secret_key,
        "public_url": PUBLIC_URL,
        "access_token_expire_minutes": 24 * 60,
        "access_log": False,
        # Its default port may be that of another server on this machine.
        "management_address": "off",
        "bcrypt_rounds": 4,
        "throttle_scale": 1_000_000,
        "execution_plans": "repeated" if options.plans == "on" else "none",
    }
    app = create_app(settings_class(MODULES)(**values))
    parts = [f"# In one process, plans {options.plans}\n"]
    async with app.router.lifespan_context(app):
        for asked in all_asked(sessions):
            call = _call(app, sessions[0].access_token, asked)
            await _run(call, options.requests // 4)
            milliseconds = [await _timed(call, options.requests) for _ in range(3)]
            profile = await _profiled(call, options.requests // 4)
            shown = ", ".join(f"{one:.3f}" for one in milliseconds)
            say(f"{asked.name}: {shown} ms of CPU a request")
            parts.append(f"## {asked.name}\n\n{shown} ms of CPU a request\n\n```\n{profile}```\n")
    return "\n".join(parts)


def _call(app: Any, token: str, asked: Asked) -> Call:
    headers = [
        (b"content-type", b"application/json"),
        (b"authorization", b"Bearer " + token.encode()),
    ]
    fixed = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b""}

    async def call() -> None:
        body = asked.next()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body":
                answer = orjson.loads(message["body"])
                if "errors" in answer:
                    raise RuntimeError(message["body"])
                asked.learn(answer["data"])

        scope = {**fixed, "headers": headers, "client": ("127.0.0.1", 1)}
        await app(scope, receive, send)

    return call


async def _run(call: Call, requests: int) -> None:
    async def client() -> None:
        for _ in range(requests // CONCURRENCY):
            await call()

    await asyncio.gather(*(client() for _ in range(CONCURRENCY)))


async def _timed(call: Call, requests: int) -> float:
    started = time.process_time()
    await _run(call, requests)
    return (time.process_time() - started) / (requests // CONCURRENCY * CONCURRENCY) * 1000


async def _profiled(call: Call, requests: int) -> str:
    profile = cProfile.Profile()
    profile.enable()
    await _run(call, requests)
    profile.disable()
    out = io.StringIO()
    pstats.Stats(profile, stream=out).strip_dirs().sort_stats("tottime").print_stats(LINES)
    return "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines()) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plans", choices=["on", "off"], default="on")
    parser.add_argument("--requests", type=int, default=6400)
    parser.add_argument("--people", type=int, default=20_000)
    run_script(main, parser)
