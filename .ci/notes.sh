#!/usr/bin/env bash
# Installs the wheel of Portico with examples/notes, as another project would: runs the tests of the example, serves it, and
# checks that Alembic sees its tables and that no file of Portico was touched.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

work=$(mktemp -d)
server=""
cleanup() {
  [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

python3 -m uv build --quiet --wheel --out-dir "$work/dist"
cp -r examples/notes "$work/notes"
python3 -m uv venv --quiet "$work/venv"
python3 -m uv pip sync --quiet --python "$work/venv" --require-hashes requirements.lock .ci/requirements.lock
python3 -m uv pip install --quiet --python "$work/venv" --no-deps "$work"/dist/*.whl
# The example itself is installed without its dependencies, which are there in the versions that are locked.
python3 -m uv pip install --quiet --python "$work/venv" --no-deps --no-build-isolation "$work/notes"

installed=$("$work/venv/bin/python" -I -c "import app; print(app.__path__[0])")
case "$installed" in
  "$work"/*) ;;
  *) echo "app is imported from $installed, not from the wheel"; exit 1 ;;
esac
sums() { (cd "$installed" && find . -type f ! -name '*.pyc' -exec sha256sum {} + | sort); }
sums >"$work/before"

export PATH="$work/venv/bin:$PATH" MODULES=my_api.notes
cd "$work/notes"
python -m pytest -q

port=$(python -c "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])")
export DATA_DIR="$work/data" MANAGEMENT_ADDRESS=off FIRST_ADMIN_PASSWORD="correct horse battery staple"
portico serve --port "$port" >"$work/log" 2>&1 &
server=$!
python "$root/.ci/notes_client.py" "http://127.0.0.1:$port" || { tail -n 30 "$work/log"; exit 1; }
portico notes count
kill "$server" && wait "$server"
server=""

python - <<'PYTHON'
import os
import subprocess
from pathlib import Path

from app.database.embedded import embedded_postgres

with embedded_postgres(Path(os.environ["DATA_DIR"])) as url:
    subprocess.run(["alembic", "check"], env=os.environ | {"DATABASE_URL": url}, check=True)
PYTHON

sums | diff "$work/before" - || { echo "files of Portico were touched"; exit 1; }
