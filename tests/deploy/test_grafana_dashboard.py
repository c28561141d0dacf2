"""deploy/grafana.json: each panel shows metrics that servers and workers export."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.http.test_observability import until
from tests.jobs.test_jobs import REGISTER, at, send
from tests.support.servers import ROOT, free_port, serving, working
from tests.support.smtp_server import running_smtp_server

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana.json").read_text())
EXPRESSIONS = [
    (panel["title"], target["expr"], target["legendFormat"])
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
]
METRIC = re.compile(r"\b(portico_\w+)(?:\{([^}]*)\})?")
# Only exported by a server with a replica or several processes, unlike the one in this test.
NOT_EXPORTED_HERE = {
    "portico_replica_in_use",
    "portico_replica_lag_seconds",
    "portico_workers_replaced_total",
}
Samples = dict[str, set[str]]


@pytest.fixture
def samples(tmp_path: Path, mailing_environment: dict[str, str]) -> Samples:
    """The names and labels of all samples of a server and a worker that have handled requests."""
    address = f"127.0.0.1:{free_port()}"
    with (
        running_smtp_server(at(mailing_environment)) as smtp,
        serving(tmp_path, **mailing_environment, MANAGEMENT_ADDRESS=address) as server,
        working(tmp_path, **mailing_environment) as worker,
    ):
        send(server.url, REGISTER)
        smtp.wait_for_email()
        urls = (f"http://{address}", worker.url)
        until(lambda: "portico_job_tries_total{" in httpx.get(f"{worker.url}/metrics").text)
        until(lambda: "portico_requests_total{" in httpx.get(f"http://{address}/metrics").text)
        texts = [httpx.get(f"{url}/metrics").text for url in urls]
    found: Samples = {}
    for name, labels in (each for text in texts for each in labelled(text)):
        found.setdefault(name, set()).update(labels)
    return found


def labelled(text: str) -> Iterator[tuple[str, set[str]]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, set(sample.labels)


def test_each_expression_uses_metrics_and_labels_that_exist(samples: Samples) -> None:
    used: Samples = {}
    for _, expression, legend in EXPRESSIONS:
        labels = set(re.findall(r"\{\{(\w+)\}\}", legend))
        labels |= {
            label for group in re.findall(r"by \(([^)]*)\)", expression) for label in names(group)
        }
        for name, selector in METRIC.findall(expression):
            used.setdefault(name, set()).update(labels | set(re.findall(r"(\w+)=", selector)))
    missing = {name for name in used if name not in samples}
    unlabelled = {name: used[name] - samples[name] for name in used if name in samples}

    assert missing == NOT_EXPORTED_HERE
    assert {name: labels for name, labels in unlabelled.items() if labels} == {}


def names(group: str) -> list[str]:
    return [name.strip() for name in group.split(",")]


def test_each_panel_has_a_description_and_overlaps_no_other() -> None:
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]

    assert [panel["title"] for panel in DASHBOARD["panels"] if not panel["description"]] == []
    assert (len(set(places)), len(set(ids))) == (len(places), len(places))


def test_a_counter_is_shown_as_a_rate_and_a_histogram_by_its_buckets() -> None:
    """The plain value of a counter depends on when its process started."""
    bare = [
        (title, name)
        for title, expression, _ in EXPRESSIONS
        for name, _ in METRIC.findall(expression)
        if name.endswith(("_total", "_bucket"))
        and not re.search(rf"(rate|increase)\({name}(\{{[^}}]*\}})?\[", expression)
    ]

    assert bare == []
