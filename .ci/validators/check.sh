#!/bin/sh
# Validators of RFC 9068 that other services use, against PORTICO_URL: the issuer of its tokens.
set -eu
: "${PORTICO_URL:?}" "${PORTICO_EMAIL:?}" "${PORTICO_PASSWORD:?}"
cd "$(dirname "$0")"

npm ci --silent
npm run --silent check

venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m uv venv --quiet --clear "$venv"
python3 -m uv pip sync --quiet --python "$venv" --require-hashes python/requirements.txt
"$venv/bin/python" python/validate.py
