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

# Left out for both: what no schema can say, such as that `first` ends at 100 and a cursor was handed
# out before, is no valid request only because its types fit. For guests: refusing what is not theirs
# is right, and rules.py holds them to it. What is asked is the same each time, unless SEED says
# otherwise: a change fails here for what it did itself.
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
