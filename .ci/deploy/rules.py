"""Checks rules for deploy/ that no linter or schema has: mainly that its files agree.

Prints each violation, and fails if there is one.
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
from urllib.parse import urlsplit

import yaml
from alerting import alerting
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
# Settings that may be read from a file: the name of the setting with _FILE.
FILES = {
    "SECRET_KEY",
    "DATABASE_URL",
    "DATABASE_READ_URL",
    "SMTP_URL",
    "FIRST_ADMIN_PASSWORD",
    "BREACHED_PASSWORDS_URL",
}
SERVERS_SECRETS = {"secret_key", "server_url", "server_read_url", "smtp_url"}
# The secrets of each service: none of the servers' for the migration, and only there the owner's.
SECRETS = {
    "proxy": set[str](),
    "portico-1": SERVERS_SECRETS,
    "portico-2": SERVERS_SECRETS,
    "worker": {"secret_key", "worker_url", "smtp_url"},
    "migrate": {"owner_url"},
    "pgbouncer": {"userlist"},
    "postgres": {
        "postgres_password",
        "portico_owner_password",
        "portico_a_password",
        "portico_b_password",
        "portico_backup_password",
        "replicator_password",
    },
    "replica": {"replicator_password"},
    "backup": {"portico_backup_password"},
}
MIGRATION = ["db", "upgrade", "--grant", "portico_server"]
# A user and a password in a URL.
CREDENTIALS = re.compile(r"://[^/\s]*:[^/\s]*@")
# PostgreSQL's own default, and what it keeps for superusers.
CONNECTIONS, RESERVED = 100, 3
# How much longer than its timeouts a server takes to stop.
STOP_MARGIN_SECONDS = 5

Problems = Iterator[str]


def dockerfiles() -> Problems:
    for name in ("Dockerfile", "pgbouncer.Dockerfile"):
        last = stages(DEPLOY / name)[-1]
        yield from (
            f"{name} needs {what}" for what, holds in IMAGE_RULES.items() if not holds(last)
        )
    built = stages(DEPLOY / "Dockerfile")
    if len(built) < 3:
        yield "Dockerfile: build tools must not be in the image"
    if built[-1].labels()["org.opencontainers.image.version"] != version():
        yield f"Dockerfile: the label's version is not {version()}"
    yield from _sent(built[-2])
    for line in re.sub(r"\\\n\s*", "", (DEPLOY / "build.sh").read_text()).splitlines():
        if "--requirement" in line and "--require-hashes" not in line:
            yield f"build.sh installs without hashes: {line.strip()}"


def _sent(build: Stage) -> Problems:
    """Checks that the builder is sent what it copies, and nothing else."""
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
    for name in variables:
        if re.search("(SECRET|PASSWORD|KEY)$", name):
            yield f"compose reads {name} from the environment, which other processes can read"
    file = composed(DEPLOY / "compose.yaml", dict.fromkeys(variables, "x"))
    for name, service in file["services"].items():
        yield from (f"compose, {name}: {problem}" for problem in _service(name, service))
    if file["services"]["migrate"]["command"] != MIGRATION:
        yield f"compose: the migration is not {MIGRATION}"
    for name, secret in file["secrets"].items():
        if secret != {"file": f"x/{name}"}:
            yield f"compose: {name} is not the file of its name"
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
    given = {_source(secret): _target(secret) for secret in service.get("secrets", ())}
    if given.keys() != SECRETS[name]:
        yield f"it has the secrets {sorted(given)}"
    for variable, value in service.get("environment", {}).items():
        if CREDENTIALS.search(str(value)):
            yield f"{variable} has a password in it"
        if variable.endswith("_FILE") and value not in given.values():
            yield f"{variable} names a file that it does not have"


def _source(secret: str | dict[str, str]) -> str:
    return secret if isinstance(secret, str) else secret["source"]


def _target(secret: str | dict[str, str]) -> str:
    return f"/run/secrets/{secret}" if isinstance(secret, str) else secret["target"]


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
        yield "it has no restart policy"
    user = service.get("user", "1:1" if "build" in service else "")
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", user):
        yield "it needs a numeric user"


def _portico(service: dict[str, Any]) -> Problems:
    given = service["environment"]
    yield from (f"{name} is no setting" for name in given if not is_setting(name))
    if service["image"] != f"portico:{version()}":
        yield f"its image is not portico:{version()}"
    if "command" not in service:
        needed = _seconds(given)
        if int(service["stop_grace_period"].removesuffix("s")) < needed:
            yield f"it needs {needed} s to stop"
        if given.get("JOBS_WORKER") != "false":
            yield "behind a pooler it cannot run jobs"


def _neighbours(file: dict[str, Any]) -> Problems:
    """Checks that servers are behind the proxy and trust its address only."""
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
    worker = services["worker"]
    management = f"{worker['networks']['metrics']['ipv4_address']}:9464"
    if worker["environment"]["MANAGEMENT_ADDRESS"] != management:
        yield "compose, worker: its metrics are at another address"
    if worker["environment"]["HEALTH_URL"] != f"http://{management}/health/ready":
        yield "compose, worker: its health check is at another address"
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
    # For two roles during a rotation, and for the migration, a replica and a backup.
    taken = 2 * int(pooler["pgbouncer"]["default_pool_size"])
    taken += 2 * int(services["worker"]["environment"]["DATABASE_POOL_SIZE"]) + 4 + RESERVED
    if f"-cmax_connections={CONNECTIONS}" not in services["postgres"]["command"]:
        yield f"compose: PostgreSQL takes other than {CONNECTIONS} connections"
    if taken > CONNECTIONS:
        yield f"compose: {taken} connections, of {CONNECTIONS}"


def kubernetes() -> Problems:
    documents = list(yaml.safe_load_all(read("kubernetes.yaml")))
    given = _one(documents, "ConfigMap", "portico")["data"]
    yield from (f"{name} is no setting" for name in given if not is_setting(name))
    for each in documents:
        if each["kind"] in {"Deployment", "Job"}:
            name = each["metadata"]["name"]
            problems = _pod(each["spec"]["template"]["spec"])
            yield from (f"kubernetes, {name}: {problem}" for problem in problems)
        if "namespace" in each["metadata"]:
            yield f"kubernetes: {each['kind']} names a namespace"
        if each["kind"] == "Secret":
            yield "kubernetes: there is a secret in the file"
    for problems in (
        _roles(documents),
        _server(documents, given),
        _worker(documents),
        _matching(documents),
        _connections(documents, given),
        _policies(documents),
    ):
        yield from (f"kubernetes: {problem}" for problem in problems)


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
            if not is_setting(one["name"]):
                yield f"{one['name']} is no setting"


def _roles(documents: list[dict[str, Any]]) -> Problems:
    """Checks that the job has the owner's address and nothing else, and only the job has it."""
    job = _one(documents, "Job", "portico-migrate")["spec"]["template"]["spec"]
    if job["containers"][0]["args"] != MIGRATION:
        yield f"the migration is not {MIGRATION}"
    if "envFrom" in job["containers"][0]:
        yield "the migration has the settings of servers"
    wanted = {
        "portico-migrate": "portico-owner",
        "portico": "portico-server",
        "portico-worker": "portico-server",
    }
    for each in documents:
        if each["kind"] in {"Deployment", "Job"}:
            name, pod = each["metadata"]["name"], each["spec"]["template"]["spec"]
            mounted = [one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one]
            if mounted != [wanted[name]] or "secretRef" in str(pod) or "secretKeyRef" in str(pod):
                yield f"{name} has the secrets {mounted}, or has them as variables"


def _worker(documents: list[dict[str, Any]]) -> Problems:
    spec = _one(documents, "Deployment", "portico-worker")["spec"]
    container = spec["template"]["spec"]["containers"][0]
    for kind, path in PROBES.items():
        if container[kind]["httpGet"] != {"path": path, "port": "metrics"}:
            yield f"the {kind} of the worker does not ask {path} at its management address"
    if spec["replicas"] < 2:
        yield "a single worker is unavailable while its node is drained"


def _server(documents: list[dict[str, Any]], given: dict[str, str]) -> Problems:
    spec = _one(documents, "Deployment", "portico")["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    if container["args"] != stages(DEPLOY / "Dockerfile")[-1].command("CMD"):
        yield "the server is not started as the image is"
    if pod["terminationGracePeriodSeconds"] < _seconds(given):
        yield f"a server needs {_seconds(given)} s to stop"
    routes = re.findall(r'add_api_route\("([^"]+)"', (ROOT / "app/http/health.py").read_text())
    for kind, path in PROBES.items():
        asked = container[kind]["httpGet"]
        if asked["path"] != path or path not in routes or asked["port"] != "http":
            yield f"the {kind} does not ask {path}"
    if spec["strategy"]["rollingUpdate"] != {"maxUnavailable": 0, "maxSurge": 1}:
        yield "an update stops servers before their replacements are ready"
    if given.get("JOBS_WORKER") != "false":
        yield "servers run jobs beside the worker"


def _matching(documents: list[dict[str, Any]]) -> Problems:
    server = _one(documents, "Deployment", "portico")["spec"]["template"]
    ports = server["spec"]["containers"][0]["ports"]
    for each in documents:
        name = each["metadata"]["name"]
        match each["kind"]:
            case "Service":
                selector = each["spec"]["selector"]
                targets = {port["targetPort"] for port in each["spec"]["ports"]}
                if targets != {"http"} or "http" not in {port["name"] for port in ports}:
                    yield f"the service reaches {targets}"
                name = "portico"
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
        labels = _one(documents, "Deployment", name)["spec"]["template"]["metadata"]["labels"]
        if selector != labels:
            yield f"the {each['kind']} {name} does not select the pods of {name} alone"
    budgets = {each["metadata"]["name"] for each in documents if "Budget" in each["kind"]}
    if budgets != {"portico", "portico-worker"}:
        yield f"servers and workers need a budget each, not {budgets}"


def _connections(documents: list[dict[str, Any]], given: dict[str, str]) -> Problems:
    scaling = _one(documents, "HorizontalPodAutoscaler", "portico")["spec"]
    worker = _one(documents, "Deployment", "portico-worker")["spec"]
    container = worker["template"]["spec"]["containers"][0]
    own = {one["name"]: one["value"] for one in container["env"]}
    servers = (scaling["maxReplicas"] + 1) * int(given["DATABASE_POOL_SIZE"])
    workers = (worker["replicas"] + 1) * int(own["DATABASE_POOL_SIZE"])
    taken = servers + workers + 1 + RESERVED
    if scaling["minReplicas"] < 2:
        yield "a single server is unavailable while it is replaced"
    if taken > CONNECTIONS or f"= {taken}," not in read("kubernetes.yaml"):
        yield f"{taken} connections, of {CONNECTIONS}; or the sum in the comment is another"


def _policies(documents: list[dict[str, Any]]) -> Problems:
    everybody = _one(documents, "NetworkPolicy", "portico")["spec"]
    if everybody["policyTypes"] != ["Ingress", "Egress"] or "ingress" in everybody:
        yield "all incoming traffic is allowed"
    for name, ports in (("portico-server", ["http", "metrics"]), ("portico-worker", ["metrics"])):
        policy = _one(documents, "NetworkPolicy", name)["spec"]
        if [_opened(rule) for rule in policy["ingress"]] != ports:
            yield f"{name} allows others than the gateway and monitoring"


def _opened(rule: dict[str, Any]) -> str:
    """Returns the only port that it opens, and who may connect to it."""
    port = "".join(str(port["port"]) for port in rule.get("ports", ()))
    wanted = {"http": "gateway", "metrics": "monitoring"}.get(port)
    by_name = {"matchLabels": {"kubernetes.io/metadata.name": wanted}}
    return port if rule["from"] == [{"namespaceSelector": by_name}] else f"{rule}"


def gateway() -> Problems:
    """Checks that requests at the public address reach the servers, by https only."""
    documents = list(yaml.safe_load_all(read("gateway.yaml")))
    servers = list(yaml.safe_load_all(read("kubernetes.yaml")))
    public = urlsplit(_one(servers, "ConfigMap", "portico")["data"]["PUBLIC_URL"]).hostname
    for each in documents:
        if each["kind"] == "HTTPRoute" and each["spec"]["hostnames"] != [public]:
            yield f"gateway.yaml: {each['metadata']['name']} is not at {public}"
    yield from _listeners(documents, public)
    (rule,) = _one(documents, "HTTPRoute", "portico")["spec"]["rules"]
    (port,) = _one(servers, "Service", "portico")["spec"]["ports"]
    if rule["backendRefs"] != [{"name": "portico", "port": port["port"]}]:
        yield "gateway.yaml: the route does not point to the service"
    seconds = re.search(r"proxy_read_timeout (\d+s);", read("nginx.conf"))
    if seconds is None or set(rule["timeouts"].values()) != {seconds[1]}:
        yield "gateway.yaml: it does not wait as long as nginx.conf"
    if "retry" in rule:
        yield "gateway.yaml: requests that may have been processed are retried"


def _listeners(documents: list[dict[str, Any]], public: str | None) -> Problems:
    listeners = _one(documents, "Gateway", "portico")["spec"]["listeners"]
    protocols = {one["name"]: one["protocol"] for one in listeners}
    if protocols != {"https": "HTTPS", "http": "HTTP"}:
        yield f"gateway.yaml: its listeners are {protocols}"
    if {one["hostname"] for one in listeners} != {public}:
        yield f"gateway.yaml: a listener is not at {public}"
    for name, section in (("portico", "https"), ("portico-to-https", "http")):
        route = _one(documents, "HTTPRoute", name)["spec"]
        if route["parentRefs"] != [{"name": "portico", "sectionName": section}]:
            yield f"gateway.yaml: {name} is not below {section}"
        if section == "http" and any("backendRefs" in rule for rule in route["rules"]):
            yield "gateway.yaml: servers are reachable without TLS"


def systemd() -> Problems:
    for path in sorted((DEPLOY / "systemd").glob("*.service")):
        yield from (f"{path.name}: {problem}" for problem in _unit(path))


def _unit(path: Path) -> Problems:
    lines = [line.partition("=") for line in path.read_text().splitlines() if line[:1] != "#"]
    loaded = [value for name, _, value in lines if name == "LoadCredential"]
    pairs = [value.split() for name, _, value in lines if name == "Environment"]
    given = dict(pair.split("=", 1) for pair in chain.from_iterable(pairs))
    yield from (f"{name} is no setting" for name in given if not is_setting(name))
    credentials = {f"%d/{one.partition(':')[0]}" for one in loaded}
    if credentials != {value for name, value in given.items() if name.endswith("_FILE")}:
        yield "the credentials that it loads are not those that it reads"
    owner = path.name == "portico-migrate.service"
    if any(one.endswith("/owner_url") != owner for one in loaded):
        yield "the owner's address is for the migration, which has no other secret"
    command = next(value for name, _, value in lines if name == "ExecStart")
    if owner and not command.endswith(" ".join(("portico", *MIGRATION))):
        yield f"the migration is not {MIGRATION}"
    if "SHUTDOWN_DELAY_SECONDS" in given:
        stopping = next(int(value) for name, _, value in lines if name == "TimeoutStopSec")
        if stopping < _seconds(given):
            yield f"it needs {_seconds(given)} s to stop"


def _one(documents: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(
        each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )


def _seconds(given: dict[str, str]) -> int:
    stopping = int(given["SHUTDOWN_DELAY_SECONDS"]) + int(given["SHUTDOWN_TIMEOUT_SECONDS"])
    return stopping + STOP_MARGIN_SECONDS


def read(name: str) -> str:
    return (DEPLOY / name).read_text()


def version() -> str:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def is_setting(name: str) -> bool:
    """Whether Portico reads it, directly or from a file, or the image's health check does."""
    return (
        name.lower() in settings()
        or (name.endswith("_FILE") and name.removesuffix("_FILE") in FILES)
        or name == "HEALTH_URL"
    )


def settings() -> set[str]:
    """Returns the settings of the platform and of all modules."""
    trees = (ast.parse(file.read_text()) for file in (ROOT / "app").glob("*/settings.py"))
    kinds = (node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef))
    fields = (
        node.target for kind in kinds for node in kind.body if isinstance(node, ast.AnnAssign)
    )
    return {field.id for field in fields if isinstance(field, ast.Name)}


if __name__ == "__main__":
    status = 0
    for problem in chain(alerting(), dockerfiles(), compose(), kubernetes(), gateway(), systemd()):
        status = 1
        print(problem, file=sys.stderr)
    sys.exit(status)
