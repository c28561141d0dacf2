#!/bin/sh
# Lets schemathesis ask PORTICO_URL whatever its schema allows, and some of what it does not, as a
# guest and as PORTICO_EMAIL, an administrator. The server's budgets must be wide enough for it.
set -eu
: "${PORTICO_URL:?}" "${PORTICO_EMAIL:?}" "${PORTICO_PASSWORD:?}"
here=$(cd "$(dirname "$0")" && pwd)

venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m uv venv --quiet --clear "$venv"
python3 -m uv pip sync --quiet --python "$venv" --require-hashes "$here/requirements.txt"

# Excluded for both: a request with the right types may still be invalid, since a schema cannot state
# that `first` is at most 100 or that a cursor must come from an answer. For guests: they are refused
# other fields, which rules.py checks. Requests are the same in each run, unless SEED is set: a failure
# is caused by the change itself.
fuzz() {
  role=$1 examples=$2 excluded=$3
  (cd "$venv" && FUZZ_ROLE="$role" PYTHONPATH="$here" SCHEMATHESIS_HOOKS=rules \
    bin/schemathesis run "$PORTICO_URL/graphql" --max-examples "$examples" --seed "${SEED:-1}" \
    --exclude-checks "$excluded" --generation-database none --suppress-health-check all \
    --warnings off --no-color >log 2>&1) || { cat "$venv/log"; exit 1; }
  grep -E 'generated' "$venv/log" | sed "s/^ */As $role: /"
}
fuzz guest "${EXAMPLES:-40}" positive_data_acceptance,not_a_server_error
fuzz administrator "${EXAMPLES:-30}" positive_data_acceptance
