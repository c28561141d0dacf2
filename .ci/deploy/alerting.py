"""Checks that the metrics of alerts.yaml exist, and each alert has a test and a runbook section."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
RUNBOOK = "docs/operators/runbook.md"
METRIC = re.compile(r"\bportico_\w+")
# The suffixes that Prometheus adds for counters and histograms.
SUFFIXES = re.compile(r"_(total|bucket|sum|count)$")


def alerting() -> Iterator[str]:
    alerts = {rule["alert"]: rule for rule in _rules()}
    sections = set(re.findall(r"^### (\w+)$", (ROOT / RUNBOOK).read_text(), re.MULTILINE))
    tested = {
        case["alertname"]
        for test in yaml.safe_load((DEPLOY / "alerts_test.yaml").read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    known = _metrics()
    for name, rule in alerts.items():
        if name not in tested:
            yield f"alerts_test.yaml never lets {name} fire"
        if name not in sections:
            yield f"{RUNBOOK} has no section {name}"
        if rule["annotations"]["runbook_url"] != f"{RUNBOOK}#{name.lower()}":
            yield f"{name} does not lead to its section"
        for metric in set(METRIC.findall(rule["expr"])):
            if SUFFIXES.sub("", metric) not in known:
                yield f"{name} asks for {metric}, which nothing measures"
    for section in sections - alerts.keys():
        if section.startswith("Portico"):
            yield f"{RUNBOOK} has a section for {section}, which is no alert"


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _metrics() -> set[str]:
    """Returns the names of metrics in the code, without suffixes, as the library takes them."""
    texts = (path.read_text() for path in (ROOT / "app").rglob("*.py"))
    return {name for text in texts for name in re.findall(r'"(portico_\w+)"', text)}
