"""Checks that a deployment survives 16 minutes with a fault each minute.

Users register, sign in and out, refresh, request `me` and pages, through all of `deploy`; what the
answers said is compared with the database afterwards.
"""

import argparse
import os
import platform
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import faults
import psutil
from answers import Kind
from consistency import check_consistency
from faults import Clock, Disk, Fault, Rotation
from fleet import Fleet, fleet
from processes import BenchmarkFailed, idle_share
from script import run_script
from simulated_users import Asked, Crowd, Ledger
from stage import processor, say, taken, write_result
from tables import grid, report

PEOPLE = 12
MINUTE = 60
# Within each minute.
FAULT_AFTER, WELL_AFTER = 15, 55
# By then no more processes are restarted, and most caches are full.
SETTLED_MINUTE = 10
SERVICE_SECONDS, ANSWER_SECONDS, GROWTH = 15, 30, 1.05
MEBIBYTE = 1024 * 1024
HONEST = {Kind.DONE, Kind.NOT_DONE, Kind.UNKNOWN, Kind.REFUSED}


@dataclass(frozen=True)
class Happened:
    name: str
    began: float
    ended: float


@dataclass
class Course:
    """What happened in each minute, and the size of each process then."""

    began: float = field(default_factory=time.monotonic)
    happened: list[Happened] = field(default_factory=list)
    sizes: list[dict[str, int]] = field(default_factory=list)

    def wait_until(self, minute: int, seconds: float) -> None:
        time.sleep(max(0.0, self.began + minute * MINUTE + seconds - time.monotonic()))


def main(options: argparse.Namespace) -> None:
    idle = idle_share(seconds=1)
    directory = Path(tempfile.mkdtemp(prefix="portico-soak-"))
    directory.chmod(0o755)
    try:
        with ExitStack() as stack:
            disk = stack.enter_context(Disk.mounted(directory / "disk"))
            clock = Clock.make(directory) if shutil.which("cc") else None
            say("The fleet starts …")
            data = disk.directory if disk else None
            extra = clock.environment if clock else {}
            whole = stack.enter_context(fleet(extra, primary_data=data))
            course, ledger = _live(whole, _faults(clock, disk)[: options.minutes], options.minutes)
            say("Comparing answers with the database …")
            found = list(_said(check_consistency(whole, ledger)))
            audit = whole.portico("audit", "verify").strip()
            about = _about(whole, idle)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    text, well = _report(course, ledger, found, audit, about)
    write_result("soak.md", text)
    print(text)
    if not well:
        raise BenchmarkFailed("there were failures: see above")


def _faults(clock: Clock | None, disk: Disk | None) -> list[Fault]:
    """Returns a fault for each minute; restarts of Portico come first, to measure its memory."""
    rotation = Rotation()
    return [
        Fault("rolling restart, `SECRET_KEY=OLD,NEW`", rotation.open_with_both),
        Fault("rolling restart, `SECRET_KEY=NEW,OLD`, `keys rotate`", rotation.seal_with_new),
        Fault("a worker and `portico worker` killed (SIGKILL)", faults.processes_killed),
        Fault("a worker hangs (SIGSTOP)", faults.worker_stopped),
        Fault("the parent of workers killed (SIGKILL)", faults.parent_killed),
        Fault("every connection to PostgreSQL cut", faults.connections_cut),
        Fault("the role of servers set NOLOGIN for 15 s", faults.role_refused),
        Fault("PostgreSQL killed (SIGQUIT) and started", faults.database_killed),
        Fault("PostgreSQL stands still for 15 s (SIGSTOP)", faults.database_stands_still),
        Fault("PgBouncer restarted", faults.pooler_restarted),
        Fault("every connection of the pool taken for 8 s", faults.pool_exhausted),
        Fault("the replica killed, back after 15 s", faults.replica_killed),
        Fault("the replica stands still for 15 s (SIGSTOP)", faults.replica_hangs),
        Fault("the replica does not replay for 15 s", faults.replica_behind),
        *([Fault("the disk of the tables full for 15 s", disk.full)] if disk else []),
        *([Fault("the clock of Portico set back by an hour", clock.set_back)] if clock else []),
    ]


def _live(whole: Fleet, to_come: Sequence[Fault], minutes: int) -> tuple[Course, Ledger]:
    with Crowd(PEOPLE, whole.ports.proxy, whole.password) as crowd:
        course = Course()
        for minute in range(minutes):
            course.wait_until(minute, FAULT_AFTER)
            if minute < len(to_come):
                fault, began = to_come[minute], time.monotonic()
                fault.happen(whole)
                course.happened.append(Happened(fault.name, began, time.monotonic()))
                say(f"{minute + 1:>3}  {fault.name}: {time.monotonic() - began:.1f} s")
            course.wait_until(minute, WELL_AFTER)
            course.sizes.append(_sizes(whole))
        course.wait_until(minutes, 0)
    return course, crowd.ledger


def _said(found: Iterator[tuple[str, int, int]]) -> Iterator[tuple[str, int, int]]:
    for what, number, wrong in found:
        say(f"     {what}: {number:,}, {wrong} wrong")
        yield what, number, wrong


def _sizes(whole: Fleet) -> dict[str, int]:
    """Returns resident bytes of each process of Portico, nginx and PgBouncer."""
    named = {name: psutil.Process(whole[name].pid) for name in ("portico-1", "worker", "pgbouncer")}
    named["portico-2 (parent)"] = psutil.Process(whole["portico-2"].pid)
    for number, process in enumerate(faults.workers_of(whole), 1):
        named[f"portico-2 (worker {number})"] = process
    return {f"{name} {each.pid}": each.memory_info().rss for name, each in named.items()}


def _report(
    course: Course,
    ledger: Ledger,
    found: Sequence[tuple[str, int, int]],
    audit: str,
    about: dict[str, str],
) -> tuple[str, bool]:
    rows = list(_minutes(course, ledger.asked))
    kinds = Counter(each.answer.kind for each in ledger.asked)
    longest = max(each.answer.seconds for each in ledger.asked)
    returned = max(row.service_after for row in rows)
    growth = _growth(course.sizes)
    well = (
        set(kinds) <= HONEST
        and not any(wrong for _, _, wrong in found)
        and audit.endswith(": valid.")
        and longest < ANSWER_SECONDS
        and returned < SERVICE_SECONDS
        and max(growth.values()) <= GROWTH
    )
    total = len(ledger.asked)
    verdict = (
        f"**{'All was well' if well else 'NOT ALL WAS WELL'}.** {total:,} requests of {PEOPLE} "
        f"people at once, in {len(course.sizes)} minutes; the longest took {longest:.1f} s, and "
        f"service was back at most {returned:.1f} s after a fault was over. *Without service* is "
        "from the first answer of the minute that was not well to the last one."
    )
    settled = (
        f"Resident MiB after each minute, from minute {_settled(course.sizes) + 1} on, of the "
        "processes that were there from then to the end. Each remembers the last 20,000 access "
        "tokens that it checked, which takes 9 MiB and need not be full when these minutes begin."
    )
    prose = [
        verdict,
        "## Answers",
        "\n".join(grid(("what was answered", "times"), [[k, f"{n:,}"] for k, n in kinds.items()])),
        *sorted({each.answer.detail for each in ledger.asked if each.answer.detail})[:5],
        "## What was told, and what is there",
        "\n".join(
            grid(("what", "how many", "wrong"), [[w, f"{n:,}", f"{x}"] for w, n, x in found])
        ),
        f"`portico audit verify`: {audit}",
        *ledger.untrue[:5],
        "## Memory",
        "\n".join(_memory(course.sizes, growth)),
        settled,
    ]
    table = grid(
        ("fault", "answers", "told to try again", "fate unknown", "longest s", "without service s",
         "after the fault s"),
        [row.cells() for row in rows],
    )  # fmt: skip
    return report("A soak with a fault each minute", table, prose, about), well


@dataclass(frozen=True)
class Minute:
    fault: str
    answers: Sequence[Asked]
    ended: float

    @property
    def bad(self) -> list[Asked]:
        return [each for each in self.answers if each.answer.kind not in {Kind.DONE, Kind.REFUSED}]

    @property
    def without_service(self) -> float:
        return self._until() - min((each.at for each in self.bad), default=self._until())

    @property
    def service_after(self) -> float:
        return max(0.0, self._until() - self.ended)

    def cells(self) -> list[str]:
        kinds = Counter(each.answer.kind for each in self.answers)
        longest = max(each.answer.seconds for each in self.answers)
        return [self.fault, f"{len(self.answers):,}", f"{kinds[Kind.NOT_DONE]:,}",
                f"{kinds[Kind.UNKNOWN]:,}", f"{longest:.2f}", f"{self.without_service:.1f}",
                f"{self.service_after:.1f}"]  # fmt: skip

    def _until(self) -> float:
        return max((each.at + each.answer.seconds for each in self.bad), default=self.ended)


def _minutes(course: Course, asked: Sequence[Asked]) -> Iterator[Minute]:
    for number, happened in enumerate(course.happened):
        start = course.began + number * MINUTE
        answers = [each for each in asked if start <= each.at < start + MINUTE]
        yield Minute(happened.name, answers, happened.ended)


def _settled(sizes: Sequence[dict[str, int]]) -> int:
    return min(SETTLED_MINUTE, len(sizes)) - 1


def _growth(sizes: Sequence[dict[str, int]]) -> dict[str, float]:
    first, last = sizes[_settled(sizes)], sizes[-1]
    return {name: last[name] / size for name, size in first.items() if name in last}


def _memory(sizes: Sequence[dict[str, int]], growth: dict[str, float]) -> list[str]:
    shown = range(_settled(sizes), len(sizes))
    rows = [
        [
            name.rpartition(" ")[0],
            *(f"{sizes[minute][name] / MEBIBYTE:.1f}" for minute in shown),
            f"{ratio:.3f}x",
        ]
        for name, ratio in growth.items()
    ]
    return grid(("process", *(f"{minute + 1}" for minute in shown), "ratio"), rows)


def _about(whole: Fleet, idle: float) -> dict[str, str]:
    server = whole.fetch("SHOW server_version")[0][0].split()[0]
    return {
        "taken": taken(),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "postgresql": server,
        "portico": version("portico"),
        "idle before": f"{idle:.0%}",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=16, help="how long, and how many faults")
    run_script(main, parser)
