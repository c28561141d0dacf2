#!/bin/sh
# Generates the Python client of schema.graphql, checks it with mypy's strict rules, and calls PORTICO_URL
# with it as PORTICO_EMAIL, an administrator.
set -eu
: "${PORTICO_URL:?}" "${PORTICO_EMAIL:?}" "${PORTICO_PASSWORD:?}"
cd "$(dirname "$0")"

venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m uv venv --quiet --clear "$venv"
python3 -m uv pip sync --quiet --python "$venv" --require-hashes requirements.txt

# Otherwise files of an earlier run would hide that this one wrote none.
rm -rf generated
mkdir generated
"$venv/bin/ariadne-codegen" >"$venv/log" || { cat "$venv/log"; exit 1; }
"$venv/bin/mypy" --cache-dir "$venv/mypy" call.py statuses.py generated/portico_client
PYTHONPATH=generated "$venv/bin/python" call.py
PYTHONPATH=generated "$venv/bin/python" statuses.py
