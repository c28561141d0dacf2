"""Checks that a fleet survives the end or the hanging of one of its processes."""

from faults import parent_killed, worker_stopped, workers_of
from fleet import is_ready, wait_for
from scene import SERVICE_SECONDS, Scene, figure, same

HUNG = 'portico_workers_replaced_total{reason="hung"}'


def a_killed_worker_is_replaced(them: Scene) -> None:
    workers = workers_of(them.fleet)
    same(len(workers), 2)
    workers[0].kill()
    seconds = wait_for(
        lambda: len(set(workers_of(them.fleet)) - {workers[0]}) == 2,
        seconds=SERVICE_SECONDS,
        what="another worker",
    )
    wait_for(
        lambda: is_ready(them.fleet.ports.portico_2), seconds=SERVICE_SECONDS, what="readiness"
    )
    them.say(f"a killed worker was replaced after {seconds:.1f} s")


def a_hanging_worker_is_replaced(them: Scene) -> None:
    them.survives("a worker hung and was replaced", lambda: worker_stopped(them.fleet))
    same(figure(them.fleet.ports.management_2, HUNG), 1.0)


def a_killed_parent_leaves_no_workers_behind(them: Scene) -> None:
    starts = them.fleet["portico-2"].starts
    them.survives("the parent of workers was killed", lambda: parent_killed(them.fleet))
    # One that cannot bind the port ends at once, and is started again.
    same(them.fleet["portico-2"].starts, starts + 1)
