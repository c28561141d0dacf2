#!/bin/sh
# Makes the Python client of schema.graphql, holds it to mypy's strict rules, and calls PORTICO_URL
# with it as PORTICO_EMAIL, an administrator.
set -eu
: "${PORTICO_URL:?}" "${PORTICO_EMAIL:?}" "${PORTICO_PASSWORD:?}"
cd "$(dirname "$0")"

venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m uv venv --quiet --clear "$venv"
python3 -m uv pip sync --quiet --python "$venv" --require-hashes requirements.txt

# What an earlier run left behind must not stand in for what this one fails to write.
rm -rf generated
mkdir generated
"$venv/bin/ariadne-codegen" >"$venv/log" || { cat "$venv/log"; exit 1; }
"$venv/bin/mypy" --cache-dir "$venv/mypy" call.py statuses.py generated/portico_client
PYTHONPATH=generated "$venv/bin/python" call.py
PYTHONPATH=generated "$venv/bin/python" statuses.py
