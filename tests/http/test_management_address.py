"""The management address: metrics, liveness and readiness of a worker."""

import asyncio
from pathlib import Path

import httpx
from prometheus_client import CollectorRegistry

from app.database import migrations
from app.http.management import Health, management
from tests.cli.test_serve import SECRET
from tests.http.test_observability import until
from tests.jobs.test_jobs import REGISTER, at, send
from tests.support.postgres import postgres
from tests.support.servers import free_port, portico, serving, working
from tests.support.smtp_server import running_smtp_server


def answer(url: str) -> tuple[int, object]:
    response = httpx.get(url)
    return response.status_code, response.json()


def metrics(url: str) -> dict[str, str]:
    """Returns the value of each sample."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def test_a_worker_counts_its_own_tries(tmp_path: Path, mailing_environment: dict[str, str]) -> None:
    with serving(tmp_path, **mailing_environment) as server:
        send(server.url, REGISTER)
    done = 'portico_job_tries_total{job="mail.letter",outcome="done"}'
    failed = 'portico_job_tries_total{job="mail.letter",outcome="failed"}'

    with working(tmp_path, **mailing_environment) as worker:
        until(lambda: failed in metrics(worker.url))
        first = metrics(worker.url)
        with running_smtp_server(at(mailing_environment)) as smtp:
            retried = portico("jobs", "retry", "--waiting", cwd=tmp_path, **mailing_environment)
            smtp.wait_for_email()
            until(lambda: done in metrics(worker.url))
        second = metrics(worker.url)

    assert retried.returncode == 0, retried.stderr
    assert (first[failed], first.get(done), second[done]) == ("1.0", None, "1.0")
    assert second['portico_job_seconds_count{job="mail.letter"}'] == "2.0"
    others = {name for name in second if not name.startswith("portico_job")}
    assert others == {"portico_secrets_unknown"}


async def test_a_worker_is_not_ready_while_its_database_is_unavailable(tmp_path: Path) -> None:
    with postgres() as database:
        await asyncio.to_thread(migrations.upgrade, database.url)
        settings = {
            "DATABASE_URL": database.url,
            "SECRET_KEY": SECRET,
            "FRONTEND_URL": "https://app.example.com",
        }
        with working(tmp_path, **settings) as worker:
            ready, live = f"{worker.url}/health/ready", f"{worker.url}/health/live"
            assert answer(ready) == (200, {"status": "ready"})
            database.stop("immediate")
            unready = until(lambda: answer(ready) if answer(ready)[0] != 200 else None)
            assert answer(live) == (200, {"status": "alive"})
            database.start()
            until(lambda: answer(ready)[0] == 200)

    reason = "The database cannot be used now. The log says why."
    assert unready == (503, {"status": "not ready", "reason": reason})


async def test_a_process_whose_event_loop_hangs_is_not_alive() -> None:
    async def unready() -> str | None:
        return None

    address = f"127.0.0.1:{free_port()}"
    health = Health(asyncio.get_running_loop(), unready, seconds=0.2)
    with management(address, CollectorRegistry(), health):
        running = await asyncio.to_thread(answer, f"http://{address}/health/live")
        # Called in the event loop itself, which is blocked until it returns.
        hanging = [answer(f"http://{address}{path}") for path in ("/health/live", "/health/ready")]
        again = await asyncio.to_thread(answer, f"http://{address}/health/ready")

    reason = "No answer within 0.2 s."
    assert running == (200, {"status": "alive"})
    assert hanging == [
        (503, {"status": "not alive", "reason": reason}),
        (503, {"status": "not ready", "reason": reason}),
    ]
    assert again == (200, {"status": "ready"})


async def test_an_unknown_page_is_not_found() -> None:
    address = f"[::1]:{free_port()}"
    with management(address, CollectorRegistry()):
        found = await asyncio.to_thread(httpx.get, f"http://{address}/health/live")

    assert (found.status_code, found.text) == (404, "Available paths: /metrics\n")


def test_a_server_with_one_process_answers_health_there_too(
    tmp_path: Path, migrated_url: str
) -> None:
    address = f"127.0.0.1:{free_port()}"
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET, "MANAGEMENT_ADDRESS": address}
    with serving(tmp_path, **settings):
        assert answer(f"http://{address}/health/live") == (200, {"status": "alive"})
        assert answer(f"http://{address}/health/ready") == (200, {"status": "ready"})


def test_a_worker_prints_where_its_metrics_are(
    tmp_path: Path, mailing_environment: dict[str, str]
) -> None:
    with working(tmp_path, **mailing_environment) as worker:
        said = worker.output.splitlines()
        taken = {"MANAGEMENT_ADDRESS": f"127.0.0.1:{worker.port}"}
        refused = portico("worker", cwd=tmp_path, **mailing_environment | taken)

    # The line before is a warning about the role, which is the superuser of the tests.
    assert said[1:3] == [f"Metrics   {worker.url}/metrics", "Running jobs. Stop with Ctrl-C."]
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"portico: Port {worker.port} is in use by another program.")
