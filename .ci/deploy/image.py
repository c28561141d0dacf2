"""Runs the steps of deploy/Dockerfile in /srv, which is a folder in a mount namespace of its own.

check.sh calls it as root, as images are built by root.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from docker.utils import exclude_paths
from dockerfiles import Instruction, Stage, stages

ROOT = Path(__file__).resolve().parents[2]
SRV = Path("/srv")
# Of the base image.
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


def build(folder: Path) -> None:
    """Build the /srv of the image in `folder`."""
    _base_image(folder)
    built = stages(ROOT / "deploy" / "Dockerfile")
    image, build_stage = built[-1], built[-2]
    here = SRV
    for step in build_stage.instructions:
        here = _do(step, here, _environment(build_stage))
    _keep(image)


def context() -> set[str]:
    """Returns the files that are sent to the builder."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    # The builder always adds the Dockerfile, which is not one of the files here.
    paths = exclude_paths(str(ROOT), patterns, dockerfile=".dockerignore")
    return {path for path in paths if (ROOT / path).is_file()} - {".dockerignore"}


def copied(step: Instruction) -> list[str]:
    """Returns the files of the context that a COPY copies."""
    *sources, _ = step.text.split()
    return [path for path in context() if any(_within(path, source) for source in sources)]


def _base_image(folder: Path) -> None:
    folder.mkdir(parents=True)
    _run("mount", "--bind", str(folder), "/srv")
    # The image has its Python there.
    if not sys.base_prefix.startswith("/usr"):
        _run("mount", "--bind", sys.base_prefix, "/usr/local")


def _environment(stage: Stage) -> dict[str, str]:
    # The environment of the machine, for its settings of pip.
    return {**os.environ, "PATH": PATH, **stage.environment()}


def _do(step: Instruction, here: Path, environment: dict[str, str]) -> Path:
    """Run one step of the build in the folder `here`; returns the folder of the next one."""
    match step.name:
        case "WORKDIR":
            here = Path(step.text)
            here.mkdir(parents=True)
        case "COPY":
            _copy(step, here)
        case "RUN":
            subprocess.run(["sh", "-c", step.text], cwd=here, env=environment, check=True)
        case _:
            raise SystemExit(f"image.py does not know {step.name}")
    return here


def _copy(step: Instruction, here: Path) -> None:
    *sources, target = step.text.split()
    for source in sources:
        found = [path for path in context() if _within(path, source)]
        if not found:
            raise SystemExit(f"COPY {source}: .dockerignore leaves nothing of it")
        for path in found:
            # The contents of a folder are copied; a file keeps its name.
            inner = Path(path).relative_to(source) if path != source else Path(path).name
            (here / target / inner).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, here / target / inner)


def _within(path: str, source: str) -> bool:
    return path == source or path.startswith(f"{source}/")


def _keep(image: Stage) -> None:
    """Keep only what the last stage copies."""
    source, target = image.last("COPY").removeprefix("--from=build ").split()
    if source != target:
        raise SystemExit(f"{source} must stay where it is: its scripts name their interpreter")
    for path in SRV.iterdir():
        if path != Path(target):
            shutil.rmtree(path)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
