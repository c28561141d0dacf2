"""Load by wrk, and the measurements of the server under it."""

import json
import random
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from processes import BenchmarkFailed, cpu_seconds, resident_bytes, run

SCRIPT = Path(__file__).parent / "post.lua"
SPARE_SECONDS = 30
MEBIBYTE = 1 << 20
REST_LOOKS, REST_SECONDS, AT_REST = 40, 0.25, 0.1


@dataclass(frozen=True)
class Round:
    """One run of wrk against one server. Times in milliseconds."""

    requests: int
    requests_per_second: float
    cpu_ms_per_request: float
    cpu_busy: float
    p50_ms: float
    p99_ms: float
    longest_ms: float
    bytes_per_request: float
    # Of the server, after the run.
    resident_mib: float

    def as_dict(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


def require_wrk() -> None:
    if shutil.which("wrk") is None or shutil.which("taskset") is None:
        raise BenchmarkFailed("wrk and taskset are needed: apt-get install wrk util-linux")


def write_requests(path: Path, requests: Iterable[tuple[str, dict[str, object]]]) -> Path:
    """Write the requests that wrk sends in turn: pairs of a token and a body."""
    lines = [f"{token}\t{json.dumps(body)}\n" for token, body in requests]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def for_each_token(tokens: Sequence[str], query: str) -> list[tuple[str, dict[str, object]]]:
    return [(token, {"query": query}) for token in tokens]


def shuffled(
    requests: Sequence[tuple[str, dict[str, object]]], seed: int
) -> list[tuple[str, dict[str, object]]]:
    order = list(requests)
    random.Random(seed).shuffle(order)
    return order


def let_rest(pid: int) -> None:
    """Wait until a server has finished the last requests: the next one runs on the same core."""
    for _ in range(REST_LOOKS):
        before = cpu_seconds(pid)
        time.sleep(REST_SECONDS)
        if cpu_seconds(pid) - before < REST_SECONDS * AT_REST:
            return


def load(
    port: int,
    pid: int,
    requests: Path,
    *,
    seconds: float,
    connections: int,
    core: int | None,
    pause_ms: int | None = None,
    refusals: bool = False,
) -> Round:
    """Run wrk and measure the server during its run.

    Raises:
        BenchmarkFailed: a connection failed, or an answer was not 2xx without `refusals`.

    """
    command = [] if core is None else ["taskset", "-c", str(core)]
    command += [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        "--timeout",
        "20s",
    ]
    command += ["-s", str(SCRIPT), f"http://127.0.0.1:{port}", "--", str(requests)]
    command += [] if pause_ms is None else [str(pause_ms)]
    before, began = cpu_seconds(pid), time.perf_counter()
    printed = run(command, seconds=seconds + SPARE_SECONDS)
    cpu, lasted = cpu_seconds(pid) - before, time.perf_counter() - began
    result = json.loads(printed.rpartition("RESULT ")[2])
    if result["broken"] or (result["refused"] and not refusals) or not result["requests"]:
        raise BenchmarkFailed(f"wrk met errors: {json.dumps(result)}")
    elapsed = result["microseconds"] / 1e6
    return Round(
        requests=result["requests"],
        requests_per_second=result["requests"] / elapsed,
        cpu_ms_per_request=cpu * 1000 / result["requests"],
        cpu_busy=cpu / lasted,
        p50_ms=result["p50"] / 1000,
        p99_ms=result["p99"] / 1000,
        longest_ms=result["longest"] / 1000,
        bytes_per_request=result["bytes"] / result["requests"],
        resident_mib=resident_bytes(pid) / MEBIBYTE,
    )
