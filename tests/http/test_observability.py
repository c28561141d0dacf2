"""Observability: what logs, metrics and traces contain, and what they never contain."""

import asyncio
import errno
import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import Any, cast

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app.database import migrations
from app.database.statements import StatementCount
from app.http.access_log import MAX_LINES, AccessLog, Line, console_line
from app.testing.clients import LOGIN, Person
from app.testing.leaks import SECRETS
from tests.cli.test_serve import REGISTER, SECRET, send
from tests.support.postgres import postgres
from tests.support.servers import Server, free_port, portico, serving, working

MY_EMAIL = "query Mine { me { email } }"
PASSWORD = "correct horse battery staple"
EVE = Person("admin@example.com", PASSWORD)
TIMEOUT_SECONDS = 10


class Collector(ThreadingHTTPServer):
    """An OpenTelemetry collector that only receives."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.records: list[Any] = []
        # The resource attributes of each batch.
        self.senders: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), Receiver)

    def trace(self, name: str) -> list[Any]:
        """Returns all spans of the trace that contains this one."""
        root = next((span for span in self.spans if span.name == name), None)
        return [span for span in self.spans if root and span.trace_id == root.trace_id]


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        collector = cast("Collector", self.server)
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/logs":
            logs: Any = ExportLogsServiceRequest.FromString(body)
            for resource in logs.resource_logs:
                collector.senders.append(texts(resource.resource.attributes))
                for scope in resource.scope_logs:
                    collector.records.extend(scope.log_records)
        else:
            traces: Any = ExportTraceServiceRequest.FromString(body)
            for resource in traces.resource_spans:
                collector.senders.append(texts(resource.resource.attributes))
                for scope in resource.scope_spans:
                    collector.spans.extend(scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Log nothing."""


def texts(attributes: Any) -> dict[str, str]:
    return {each.key: each.value.string_value for each in attributes}


@contextmanager
def collecting() -> Generator[Collector]:
    with Collector() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


@pytest.fixture(scope="module")
def metrics_url() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, collector: Collector, metrics_url: str
) -> Iterator[Server]:
    settings = {
        "LOG_FORMAT": "json",
        "MANAGEMENT_ADDRESS": metrics_url,
        "FIRST_ADMIN_PASSWORD": PASSWORD,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_BLRP_SCHEDULE_DELAY": "100",
    }
    with serving(tmp_path_factory.mktemp("seeing"), **settings) as running:
        yield running


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    return send(server, LOGIN, input=EVE.credentials)["login"]["tokens"]["accessToken"]


def until(found: Callable[[], Any]) -> Any:
    """Wait for a result and return it."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (it := found()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return it


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.output.splitlines() if line.startswith("{")]


def test_a_line_has_the_user_the_operation_and_the_outcome(server: Server, token: str) -> None:
    send(server, MY_EMAIL, bearer=token)

    line = until(lambda: next((x for x in lines(server) if x.get("operationName") == "Mine"), None))

    signed_in = next(x for x in lines(server) if x.get("operation") == "mutation login")
    assert line["user"] == signed_in["user"]
    shown = ("method", "path", "status", "operation", "outcome")
    assert [line[name] for name in shown] == ["POST", "/graphql", 200, "query me", "ok"]
    assert len(line["document"]) == 12
    assert line["milliseconds"] > 0
    assert line["statements"] >= 1


def test_a_line_has_the_code_of_a_refusal_and_the_type_of_a_problem(server: Server) -> None:
    send(server, LOGIN, input=EVE.credentials | {"password": "wrong"})
    send(server, "{ users { totalCount } }")

    def outcomes() -> set[str]:
        return {line.get("outcome", "") for line in lines(server)}

    assert until(lambda: outcomes() >= {"InvalidCredentials", "UNAUTHENTICATED"})


def test_no_line_contains_an_email_address_or_a_secret(server: Server, token: str) -> None:
    httpx.get(f"{server.url}/graphql", params={"query": MY_EMAIL, "token": token})
    for secret in (token, "pot_" + "x" * 43, EVE.email, f"a-{EVE.email.replace('@', '%40')}"):
        httpx.get(f"{server.url}/nowhere/{secret}/?token={secret}")
    until(lambda: [x.get("path") for x in lines(server)].count("/nowhere/…/") == 4)

    logged = "\n".join(map(json.dumps, lines(server)))

    assert list(SECRETS.leaks_in(logged)) == []
    assert PASSWORD not in logged


def test_metrics_count_requests_by_operation_and_outcome(
    server: Server, token: str, metrics_url: str
) -> None:
    for _ in range(2):
        # The second one finds the document and the token in the caches.
        send(server, MY_EMAIL, bearer=token)
    send(server, LOGIN, input=EVE.credentials | {"password": "wrong"})

    def shown() -> str:
        text = httpx.get(f"http://{metrics_url}/metrics").text
        return text if 'outcome="InvalidCredentials"' in text and "hits_total 0" not in text else ""

    text = until(shown)

    assert 'portico_requests_total{operation="query me",outcome="ok"}' in text
    assert 'portico_requests_total{operation="mutation login",outcome="InvalidCredentials"}' in text
    assert 'portico_request_seconds_bucket{le="0.1",operation="query me"}' in text
    assert all(f"portico_{name} " in text for name in ("connections", "database_connections"))


def test_metrics_are_served_at_the_management_address_only(server: Server) -> None:
    assert httpx.get(f"{server.url}/metrics").status_code == 404


def test_a_trace_has_the_request_and_its_statements(
    server: Server, token: str, collector: Collector
) -> None:
    send(server, MY_EMAIL, bearer=token)

    def whole() -> list[Any]:
        spans = collector.trace("query me")
        return spans if len(spans) > 1 else []

    spans = until(whole)
    request = next(span for span in spans if span.name == "query me")
    statement = next(span for span in spans if span.name == "SELECT")
    attributes = texts(statement.attributes)

    assert statement.parent_span_id == request.span_id
    assert attributes["db.system.name"] == "postgresql"
    assert "JOIN users" in attributes["db.query.text"]


def test_telemetry_has_the_service_name_portico(server: Server, collector: Collector) -> None:
    httpx.get(f"{server.url}/health/live")
    sender = until(lambda: collector.senders[0] if collector.senders else None)

    assert (sender["service.name"], sender["service.version"]) == ("portico", version("portico"))


def test_an_internal_error_is_logged_with_the_trace_of_its_request(
    tmp_path: Path, collector: Collector
) -> None:
    named = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_SERVICE_NAME": "identity",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
    }
    with postgres() as database:
        migrations.upgrade(database.url)
        settings = {"DATABASE_URL": database.url, "SECRET_KEY": SECRET, "JOBS_WORKER": "false"}
        with serving(tmp_path, **settings, **named, LOG_FORMAT="json") as server:
            database.stop("immediate")
            httpx.get(f"{server.url}/health/ready", timeout=30)
        database.start()
    # Stopping flushes the exporters.
    record = next(each for each in collector.records if "Not ready" in each.body.string_value)
    spans = [each.name for each in collector.spans if each.trace_id == record.trace_id]
    line = next(each for each in lines(server) if "Not ready" in each.get("message", ""))

    assert "GET /health/ready" in spans
    assert (line["traceId"], line["level"]) == (record.trace_id.hex(), "WARNING")
    assert "identity" in {sender["service.name"] for sender in collector.senders}


def test_a_try_of_a_job_is_a_span(
    tmp_path: Path, mailing_environment: dict[str, str], collector: Collector
) -> None:
    with serving(tmp_path, **mailing_environment) as sender:
        send(sender, REGISTER, email="eve@example.com")
    endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    named = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with working(tmp_path, **mailing_environment, **named):
        spans = until(lambda: collector.trace("process mail.letter"))
    email = next(span for span in spans if span.name == "process mail.letter")
    attributes = texts(email.attributes)

    assert attributes["messaging.system"] == "pgqueuer"
    assert email.status.message == "NoConnection"
    assert "eve@example.com" not in str(collector.spans)


def test_metrics_of_several_workers_are_combined(tmp_path: Path, migrated_url: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET, "MANAGEMENT_ADDRESS": address}
    with serving(tmp_path, "--workers", "2", **settings) as server:
        for _ in range(20):
            send(server, "{ me { email } }")

        counted = 'portico_requests_total{operation="query me",outcome="ok"} 20.0'

        assert until(lambda: counted in httpx.get(f"http://{address}/metrics").text)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"DEBUG": "true", "PUBLIC_URL": "https://id.example.com"}, "DEBUG=true shows the schema"),
        ({"CORS_ORIGINS": "*"}, "CORS_ORIGINS must name each frontend"),
        ({"PASSWORD_MIN_LENGTH": "7"}, "PASSWORD_MIN_LENGTH must be greater than or equal to 8"),
        ({"SECRET_KEY": "changeme" * 8}, "SECRET_KEY looks like a placeholder"),
        (
            {"SECRET_KEY": "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"},
            "SECRET_KEY is printed in a tutorial",
        ),
        ({"TRUSTED_PROXIES": "0.0.0.0/0"}, "TRUSTED_PROXIES must not trust every address"),
        ({"MANAGEMENT_ADDRESS": "9464"}, "MANAGEMENT_ADDRESS must be an address and a port"),
    ],
)
def test_insecure_settings_are_refused_by_name(
    tmp_path: Path, migrated_url: str, settings: dict[str, str], words: str
) -> None:
    result = portico(
        "serve",
        "--port",
        str(free_port()),
        cwd=tmp_path,
        **{"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET} | settings,
    )

    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith(f"portico: {words}")


def test_debug_is_refused_on_a_public_address(tmp_path: Path, migrated_url: str) -> None:
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET, "DEBUG": "true"}
    everywhere = ("--host", "0.0.0.0")  # noqa: S104 - what is refused

    result = portico("serve", "--port", str(free_port()), *everywhere, cwd=tmp_path, **settings)

    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("portico: DEBUG=true shows the schema")


def test_the_start_prints_insecure_settings(tmp_path: Path) -> None:
    everywhere = ("--host", "0.0.0.0")  # noqa: S104 - what is warned of
    (tmp_path / ".env").write_text("PORT=8240\nUNRELATED_VARIABLES=HOST\nHOST=::1\nsmtp_host=x\n")
    with serving(tmp_path, *everywhere, THROTTLE_SCALE="50") as server:
        warnings = [
            line.split()[1] for line in server.output.splitlines() if line.startswith("Warning")
        ]
        assert ".env sets names that are not settings: PORT, SMTP_HOST.\n" in server.output

    names = ["DEBUG", "EMAIL_VERIFICATION=off:", "PUBLIC_URL", "TRUSTED_PROXIES", ".env"]
    assert warnings == [*names, "BCRYPT_ROUNDS=4:", "THROTTLE_SCALE=50:"]


async def test_requests_do_not_fail_if_the_log_cannot_be_written() -> None:
    class Full:
        def write(self, _text: str) -> None:
            raise OSError(errno.ENOSPC, "no space left")

        def flush(self) -> None: ...

    counted: list[int] = []
    failures: list[object] = []
    log = AccessLog(Full(), console_line, lambda lines: counted.append(len(lines)))
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: failures.append(context["exception"])
    )

    for number in range(MAX_LINES):
        log.add(Line(0, "GET", "/", str(number), StatementCount()))
    await asyncio.sleep(0)

    asyncio.get_running_loop().set_exception_handler(None)
    assert (counted, [type(each) for each in failures]) == ([MAX_LINES], [OSError])
