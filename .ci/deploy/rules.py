"""Holds deploy/ to rules that no linter and no schema has: above all, that its files agree.

Prints what is wrong, and fails then.
"""

import ast
import configparser
import re
import sys
import tomllib
from collections.abc import Iterator
from ipaddress import ip_network
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from composing import composed, names
from dockerfiles import Stage, stages
from image import context, copied

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
IMAGE_RULES = {
    "a numeric user": lambda stage: re.fullmatch(r"[1-9]\d*:[1-9]\d*", stage.last("USER")),
    "a HEALTHCHECK in exec form": lambda stage: stage.health(),
    "an ENTRYPOINT in exec form": lambda stage: stage.last("ENTRYPOINT").startswith("["),
    "a CMD in exec form": lambda stage: stage.last("CMD").startswith("["),
    "a STOPSIGNAL": lambda stage: stage.last("STOPSIGNAL"),
    "no ADD": lambda stage: not stage.last("ADD"),
}
RESTRICTED = {
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONFINED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
PROBES = {
    "startupProbe": "/health/live",
    "readinessProbe": "/health/ready",
    "livenessProbe": "/health/live",
}
KINDS = ("requests", "limits")
# PostgreSQL's own default, and what it keeps for superusers.
CONNECTIONS, RESERVED = 100, 3
# How much longer than it was given a server takes to leave.
LEAVING_SECONDS = 5

Problems = Iterator[str]


def dockerfiles() -> Problems:
    for name in ("Dockerfile", "pgbouncer.Dockerfile"):
        last = stages(DEPLOY / name)[-1]
        yield from (
            f"{name} needs {what}" for what, holds in IMAGE_RULES.items() if not holds(last)
        )
    built = stages(DEPLOY / "Dockerfile")
    if len(built) < 3:
        yield "Dockerfile: what builds must not be in the image"
    if built[-1].labels()["org.opencontainers.image.version"] != version():
        yield f"Dockerfile: the label's version is not {version()}"
    yield from _sent(built[-2])
    for line in re.sub(r"\\\n\s*", "", (DEPLOY / "build.sh").read_text()).splitlines():
        if "--requirement" in line and "--require-hashes" not in line:
            yield f"build.sh installs without hashes: {line.strip()}"


def _sent(build: Stage) -> Problems:
    """Whether the builder is sent what it copies, and nothing else."""
    taken = {path for step in build.instructions if step.name == "COPY" for path in copied(step)}
    yield from (f".dockerignore sends {path}, which nothing copies" for path in context() - taken)
    yield from (f".dockerignore sends {path}" for path in taken if not _is_tracked_kind(path))


def _is_tracked_kind(path: str) -> bool:
    parts = Path(path).parts
    return not any(
        part.startswith(".") or part in {"node_modules", "__pycache__"} for part in parts
    )


def compose() -> Problems:
    text = (DEPLOY / ".env.example").read_text()
    variables = names(DEPLOY / "compose.yaml")
    for name in variables:
        if not re.search(rf"^(# )?{name}=", text, re.MULTILINE):
            yield f".env.example says nothing of {name}"
    for name, required in variables.items():
        if not required and re.search("SECRET|PASSWORD", name):
            yield f"compose starts without {name}"
    file = composed(DEPLOY / "compose.yaml", dict.fromkeys(variables, "x"))
    for name, service in file["services"].items():
        yield from (f"compose, {name}: {problem}" for problem in _service(name, service))
    yield from _neighbours(file)
    yield from _poolers(file["services"])


def _service(name: str, service: dict[str, Any]) -> Problems:
    yield from _confinement(service)
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        if source.startswith(".") and not (DEPLOY / source).is_file():
            yield f"{source} is mounted and not there"
    if service.get("ports") and name != "proxy":
        yield "only the proxy is published"
    if "healthcheck" not in service and "build" not in service:
        yield "it has no healthcheck"
    if service["image"].startswith("portico:"):
        yield from _portico(service)


def _confinement(service: dict[str, Any]) -> Problems:
    if not service.get("read_only"):
        yield "it can write to its own files"
    if service.get("cap_drop") != ["ALL"]:
        yield "it keeps capabilities"
    if "no-new-privileges:true" not in service.get("security_opt", ()):
        yield "it may gain privileges"
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    if limits.keys() != {"cpus", "memory", "pids"}:
        yield "it has no limits of CPU, memory and processes"
    if "restart" not in service:
        yield "nothing says whether it is started again"
    user = service.get("user", "1:1" if "build" in service else "")
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", user):
        yield "it needs a numeric user"


def _portico(service: dict[str, Any]) -> Problems:
    given = service["environment"]
    yield from (f"{name} is no setting" for name in given if name.lower() not in settings())
    if service["image"] != f"portico:{version()}":
        yield f"its image is not portico:{version()}"
    if "command" not in service:
        needed = _seconds(given)
        if int(service["stop_grace_period"].removesuffix("s")) < needed:
            yield f"it needs {needed} s to stop"
        if given.get("JOBS_WORKER") != "false":
            yield "behind a pooler it cannot run jobs"


def _neighbours(file: dict[str, Any]) -> Problems:
    """Whether servers know the proxy by the one address that it has, and are behind it."""
    services = file["services"]
    proxy = services["proxy"]["networks"]
    for name in ("portico-1", "portico-2"):
        server, given = services[name]["networks"], services[name]["environment"]
        shared = server.keys() & proxy.keys()
        if len(shared) != 1:
            yield f"compose, {name}: it shares {shared} with the proxy, not one network"
        address = proxy[next(iter(shared))]["ipv4_address"]
        if [ip_network(given["TRUSTED_PROXIES"])] != [ip_network(address)]:
            yield f"compose, {name}: it trusts others than the proxy, {address}"
        if given["MANAGEMENT_ADDRESS"] != f"{server['metrics']['ipv4_address']}:9464":
            yield f"compose, {name}: its metrics are elsewhere"
    for network in ("edge", "data", "metrics"):
        if not file["networks"][network]["internal"]:
            yield f"compose: {network} must not lead outside"


def _poolers(services: dict[str, Any]) -> Problems:
    for host, port in re.findall(r"^\s*server ([\w.-]+):(\d+)", read("nginx.conf"), re.MULTILINE):
        if host not in services or port != "8000":
            yield f"nginx.conf: there is no {host}:{port}"
    pooler = configparser.ConfigParser(interpolation=None, comment_prefixes=(";", "#"))
    pooler.read_string(read("pgbouncer.ini"))
    for name, line in pooler["databases"].items():
        host = re.search(r"host=(\S+)", line)
        if host is None or host[1] not in services:
            yield f"pgbouncer.ini: {name} is nowhere"
    taken = int(pooler["pgbouncer"]["default_pool_size"])
    taken += 2 * int(services["worker"]["environment"]["DATABASE_POOL_SIZE"]) + 2 + RESERVED
    if f"-cmax_connections={CONNECTIONS}" not in services["postgres"]["command"]:
        yield f"compose: PostgreSQL takes other than {CONNECTIONS} connections"
    if taken > CONNECTIONS:
        yield f"compose: {taken} connections, of {CONNECTIONS}"


def kubernetes() -> Problems:
    documents = list(yaml.safe_load_all(read("kubernetes.yaml")))
    given = _one(documents, "ConfigMap", "portico")["data"]
    yield from (f"{name} is no setting" for name in given if name.lower() not in settings())
    for each in documents:
        if each["kind"] in {"Deployment", "Job"}:
            name = each["metadata"]["name"]
            problems = _pod(each["spec"]["template"]["spec"])
            yield from (f"kubernetes, {name}: {problem}" for problem in problems)
        if "namespace" in each["metadata"]:
            yield f"kubernetes: {each['kind']} names a namespace"
        if each["kind"] == "Secret":
            yield "kubernetes: there is a secret in the file"
    yield from (f"kubernetes: {problem}" for problem in _server(documents, given))
    yield from (f"kubernetes: {problem}" for problem in _policies(documents))


def _pod(pod: dict[str, Any]) -> Problems:
    if pod["automountServiceAccountToken"] or pod["enableServiceLinks"]:
        yield "it must not have a token or service links"
    context = pod["securityContext"]
    user = stages(DEPLOY / "Dockerfile")[-1].last("USER")
    if f"{context['runAsUser']}:{context['runAsGroup']}" != user:
        yield f"its user is not the image's, {user}"
    if not RESTRICTED.items() <= context.items():
        yield "it is not restricted"
    for container in pod["containers"]:
        if container["securityContext"] != CONFINED:
            yield "its container is not confined"
        if container["image"] != f"portico:{version()}":
            yield f"its image is not portico:{version()}"
        if any(container["resources"][kind].keys() != {"cpu", "memory"} for kind in KINDS):
            yield "it needs requests and limits of CPU and memory"
        for one in container.get("env", ()):
            if one["name"].lower() not in settings():
                yield f"{one['name']} is no setting"


def _server(documents: list[dict[str, Any]], given: dict[str, str]) -> Problems:
    spec = _one(documents, "Deployment", "portico")["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    if container["args"] != stages(DEPLOY / "Dockerfile")[-1].command("CMD"):
        yield "the server is not started as the image is"
    if pod["terminationGracePeriodSeconds"] < _seconds(given):
        yield f"a server needs {_seconds(given)} s to stop"
    routes = re.findall(r'router\.api_route\("([^"]+)"', (ROOT / "app/http/plain.py").read_text())
    for kind, path in PROBES.items():
        asked = container[kind]["httpGet"]
        if asked["path"] != path or path not in routes or asked["port"] != "http":
            yield f"the {kind} does not ask {path}"
    if spec["strategy"]["rollingUpdate"] != {"maxUnavailable": 0, "maxSurge": 1}:
        yield "an update takes servers away before there are others"
    if given.get("JOBS_WORKER") != "false":
        yield "servers run jobs beside the worker"
    yield from _matching(documents, spec["template"]["metadata"]["labels"], container["ports"])
    yield from _connections(documents, given)


def _matching(
    documents: list[dict[str, Any]], labels: dict[str, str], ports: list[dict[str, Any]]
) -> Problems:
    for each in documents:
        match each["kind"]:
            case "Service":
                selector = each["spec"]["selector"]
                targets = {port["targetPort"] for port in each["spec"]["ports"]}
                if targets != {"http"} or "http" not in {port["name"] for port in ports}:
                    yield f"the service reaches {targets}"
            case "PodDisruptionBudget":
                selector = each["spec"]["selector"]["matchLabels"]
            case "Deployment" | "Job":
                own = each["spec"]["template"]["metadata"]["labels"]
                selector = each["spec"].get("selector", {}).get("matchLabels", own)
                if selector != own:
                    yield f"{each['metadata']['name']} does not select its own pods"
                continue
            case _:
                continue
        if selector != labels:
            yield f"the {each['kind']} does not select the servers alone"


def _connections(documents: list[dict[str, Any]], given: dict[str, str]) -> Problems:
    scaling = _one(documents, "HorizontalPodAutoscaler", "portico")["spec"]
    worker = _one(documents, "Deployment", "portico-worker")["spec"]["template"]["spec"]
    own = {one["name"]: one["value"] for one in worker["containers"][0]["env"]}
    servers = (scaling["maxReplicas"] + 1) * int(given["DATABASE_POOL_SIZE"])
    taken = servers + 2 * int(own["DATABASE_POOL_SIZE"]) + 1 + RESERVED
    if scaling["minReplicas"] < 2:
        yield "one server is none while it is being replaced"
    if taken > CONNECTIONS or f"= {taken}," not in read("kubernetes.yaml"):
        yield f"{taken} connections, of {CONNECTIONS}; or the sum in the comment is another"


def _policies(documents: list[dict[str, Any]]) -> Problems:
    everybody = _one(documents, "NetworkPolicy", "portico")["spec"]
    if everybody["policyTypes"] != ["Ingress", "Egress"] or "ingress" in everybody:
        yield "whoever likes may come in"
    for rule in _one(documents, "NetworkPolicy", "portico-server")["spec"]["ingress"]:
        ports = [port["port"] for port in rule.get("ports", ())]
        spaces = [one["namespaceSelector"]["matchLabels"] for one in rule["from"]]
        wanted = {"http": "ingress-nginx", "metrics": "monitoring"}.get("".join(ports))
        if spaces != [{"kubernetes.io/metadata.name": wanted}]:
            yield f"{spaces} may reach {ports}"


def _one(documents: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(
        each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )


def _seconds(given: dict[str, str]) -> int:
    stopping = int(given["SHUTDOWN_DELAY_SECONDS"]) + int(given["SHUTDOWN_TIMEOUT_SECONDS"])
    return stopping + LEAVING_SECONDS


def read(name: str) -> str:
    return (DEPLOY / name).read_text()


def version() -> str:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def settings() -> set[str]:
    tree = ast.parse((ROOT / "app" / "config.py").read_text())
    found = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    fields = (node.target for node in found.body if isinstance(node, ast.AnnAssign))
    return {field.id for field in fields if isinstance(field, ast.Name)}


if __name__ == "__main__":
    status = 0
    for problem in chain(dockerfiles(), compose(), kubernetes()):
        status = 1
        print(problem, file=sys.stderr)
    sys.exit(status)
