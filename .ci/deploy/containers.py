"""Networks and containers as compose means them, of the kernel's own parts: namespaces and mounts.

A container has a network namespace of its own, with a line into each of its networks; a root of its
own, of this machine's /usr and the image's /srv, read-only as compose says; and its user, without a
single capability. What it does not have is limits of memory, CPU and processes.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from dockerfiles import Stage

# Enough for a busy machine: only failures take so long.
PATIENCE_SECONDS = 120
OWN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FILES = ("passwd", "group", "nsswitch.conf", "ld.so.cache", "localtime", "protocols", "services")


@dataclass(frozen=True)
class Image:
    """What is known about an image without pulling it."""

    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = "0:0"
    workdir: str = "/"
    stop_signal: str = "SIGTERM"
    # Shell commands that add the rest of its files, run in its root.
    made: str = ""

    @classmethod
    def of(cls, stage: Stage, made: str = "") -> "Image":
        return cls(
            stage.command("ENTRYPOINT"),
            stage.command("CMD"),
            stage.health(),
            stage.environment(),
            stage.last("USER"),
            stage.last("WORKDIR") or "/",
            stage.last("STOPSIGNAL") or "SIGTERM",
            made,
        )


class Networks:
    """Bridges: services on the same one resolve each other's names."""

    def __init__(self, networks: Mapping[str, Any], services: Mapping[str, Any]) -> None:
        self._subnets: dict[str, IPv4Network] = {}
        for number, (name, network) in enumerate(networks.items()):
            named = (network or {}).get("ipam", {}).get("config", [{}])[0].get("subnet")
            self._subnets[name] = IPv4Network(named or f"172.29.{number}.0/24")
        self._places = {name: _networks_of(service) for name, service in services.items()}
        self._numbers = {name: 50 + number for number, name in enumerate(services)}
        run("ip", "link", "set", "lo", "up")
        for name, subnet in self._subnets.items():
            run("ip", "link", "add", name, "type", "bridge")
            run("ip", "addr", "add", f"{subnet[1]}/{subnet.prefixlen}", "dev", name)
            run("ip", "link", "set", name, "up")

    def gateway(self, network: str) -> str:
        return str(self._subnets[network][1])

    def address(self, service: str, network: str) -> str:
        fixed = self._places[service][network].get("ipv4_address")
        return fixed or str(self._subnets[network][self._numbers[service]])

    def hosts(self, service: str) -> str:
        """Returns /etc/hosts, which replaces Docker's name resolution."""
        mine = self._places[service]
        lines = (
            f"{self.address(other, network)} {other}"
            for other, networks in self._places.items()
            for network in networks.keys() & mine.keys()
        )
        mail = f"{self.gateway('outside')} mail.example"
        return "\n".join(("127.0.0.1 localhost", mail, *lines, ""))

    def connect(self, service: str, pid: int) -> None:
        for number, network in enumerate(self._places[service]):
            line, inner = f"{network}{self._numbers[service]}", f"eth{number}"
            run("ip", "link", "add", line, "type", "veth", "peer", "name", inner, "netns", str(pid))
            run("ip", "link", "set", line, "master", network, "up")
            address = f"{self.address(service, network)}/{self._subnets[network].prefixlen}"
            within = ("nsenter", f"--net=/proc/{pid}/ns/net", "ip")
            run(*within, "addr", "add", address, "dev", inner)
            run(*within, "link", "set", inner, "up")
            run(*within, "link", "set", "lo", "up")


class Container:
    """One service, run as compose says."""

    def __init__(
        self,
        name: str,
        service: Mapping[str, Any],
        image: Image,
        secrets: Mapping[str, Any],
        scratch: Path,
    ) -> None:
        self.name, self.service, self.image = name, service, image
        self._secrets = secrets
        self._scratch = scratch
        self.log = scratch / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._network = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        _wait_for_namespace(self._network.pid)

    @property
    def pid(self) -> int:
        return self._network.pid

    @property
    def health(self) -> list[str]:
        named = self.service.get("healthcheck", {})
        return [] if named.get("disable") else named.get("test", ["CMD"])[1:] or self.image.health

    @property
    def grace_seconds(self) -> int:
        return int(str(self.service.get("stop_grace_period", "10s")).removesuffix("s"))

    def start(self, hosts: str) -> None:
        self._hosts = self._scratch / f"{self.name}.hosts"
        self._hosts.write_text(hosts)
        self.log.touch()
        # Writable for any user, as Docker's own pipes are.
        self.log.chmod(0o666)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log)

    def wait(self) -> int:
        return self._running().wait(PATIENCE_SECONDS)

    def run(self, *command: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
        """Run another command in such a container; None removes a variable."""
        whole = self._confined(list(command), {**self._environment(), **environment})
        try:
            return subprocess.run(
                whole, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise SystemExit(f"{self.name}: {command[0]} does not end") from None

    def is_healthy(self) -> bool:
        if self._running().poll() is not None:
            raise SystemExit(f"{self.name} ended by itself:\n{self.log.read_text()}")
        return self.run(*self.health).returncode == 0

    def volume(self, name: str) -> Path:
        return self._scratch / "volumes" / name

    def memory(self) -> int:
        """Returns the bytes of memory that it uses."""
        status = Path(f"/proc/{self._running().pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def is_running(self) -> bool:
        return self._running().poll() is None

    def ask_to_stop(self) -> None:
        self._running().send_signal(signal.Signals[self.image.stop_signal])

    def wait_until_stopped(self) -> int:
        """Returns its exit code.

        Raises:
            SystemExit: not within its time.

        """
        try:
            return self._running().wait(self.grace_seconds)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"{self.name} does not stop in {self.grace_seconds} s") from None

    def restart(self) -> None:
        self.ask_to_stop()
        self.wait_until_stopped()
        self.start(self._hosts.read_text())

    def send(self, which: signal.Signals) -> None:
        self._running().send_signal(which)

    def remove(self) -> None:
        for process in (self._process, self._network):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _command(self) -> list[str]:
        entrypoint = self.service.get("entrypoint")
        # As in Docker, another entrypoint also replaces the image's command.
        command = self.service.get("command", [] if entrypoint else self.image.command)
        return self._confined([*(entrypoint or self.image.entrypoint), *command], None)

    def _environment(self) -> dict[str, str | None]:
        # The linkers of the images search there by default.
        own = {"PATH": OWN_PATH, "LD_LIBRARY_PATH": "/usr/local/lib"}
        return {**own, **self.image.environment, **self.service.get("environment", {})}

    def _confined(
        self, command: list[str], environment: Mapping[str, str | None] | None
    ) -> list[str]:
        given = environment or self._environment()
        variables = [f"{name}={value}" for name, value in given.items() if value is not None]
        user, group = str(self.service.get("user", self.image.user)).split(":")
        workdir = ["env", "--ignore-environment", f"--chdir={self.image.workdir}", *variables]
        confined = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        confined += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        whole = shlex.join(["chroot", ".", *confined, *workdir, *command])
        script = "\n".join(("set -e", *self._root(), f"exec {whole}"))
        # Each of these executes the next one in its place, so the pid is that of the last.
        return [
            "nsenter",
            f"--net=/proc/{self.pid}/ns/net",
            "unshare",
            "--mount",
            "sh",
            "-c",
            script,
        ]

    def _root(self) -> Iterator[str]:
        """Returns shell commands that create its file system and enter it."""
        root = self._scratch / "root"
        root.mkdir(exist_ok=True)
        yield f"mount -t tmpfs -o mode=755 tmpfs {root}"
        yield f"cd {root}"
        yield "mkdir -p dev etc proc run srv tmp usr var/lib/postgresql var/lib/nginx var/log/nginx"
        yield "ln -s ../run var/run"
        yield "for each in /bin /sbin /lib /lib64; do cp -a $each .; done"
        yield from (f"cp -L /etc/{name} etc/ 2>/dev/null || true" for name in FILES)
        yield f"cp {self._hosts} etc/hosts"
        yield "mount --rbind /dev dev; mount -t proc proc proc"
        yield "mount --bind /usr usr; mount -o remount,bind,ro usr"
        yield from _kept("/usr/local", "usr/local")
        yield from _kept("/srv", "srv")
        yield self.image.made or ":"
        for volume in self.service.get("volumes", ()):
            yield from self._mounted(*volume.split(":"))
        for secret in self.service.get("secrets", ()):
            yield from self._secret(secret)
        for mounted in self.service.get("tmpfs", ()):
            target, _, options = mounted.partition(":")
            yield f"mkdir -p .{target}; mount -t tmpfs -o {options} tmpfs .{target}"
        if self.service.get("read_only"):
            yield "mount -o remount,bind,ro ."

    def _secret(self, secret: str | Mapping[str, str]) -> Iterator[str]:
        """Returns shell commands that mount its file, from the short or the long form."""
        named = {"source": secret} if isinstance(secret, str) else secret
        source = self._secrets[named["source"]]["file"]
        target = named.get("target", f"/run/secrets/{named['source']}")
        yield f"mkdir -p .{Path(target).parent}; touch .{target}"
        yield f"mount --bind {source} .{target}; mount -o remount,bind,ro .{target}"

    def _mounted(self, source: str, target: str, mode: str = "rw") -> Iterator[str]:
        if source.startswith("."):
            path = (Path(__file__).resolve().parents[2] / "deploy" / source).resolve()
            yield f"mkdir -p .{Path(target).parent}; [ -e .{target} ] || touch .{target}"
        else:
            path = self.volume(source)
            path.mkdir(parents=True, exist_ok=True)
            os.chown(path, *(int(part) for part in self.service["user"].split(":")))
            yield f"mkdir -p .{target}"
        yield f"mount --bind {path} .{target}"
        yield f"mount -o remount,bind,{mode} .{target}"


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def _kept(source: str, target: str) -> Iterator[str]:
    yield f"mount --rbind {source} {target}; mount -o remount,bind,ro {target}"


def _networks_of(service: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    networks = service["networks"]
    return {
        name: dict(networks[name] or {}) if isinstance(networks, dict) else {} for name in networks
    }


def _wait_for_namespace(pid: int) -> None:
    ours = Path("/proc/self/ns/net").readlink()
    for _ in range(200):
        with suppress(OSError):
            if Path(f"/proc/{pid}/ns/net").readlink() != ours:
                return
        time.sleep(0.01)
    sys.exit("no network namespaces here: run it as root, on Linux")
