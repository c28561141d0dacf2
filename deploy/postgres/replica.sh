#!/usr/bin/env bash
# A streaming replica of PGHOST, as PGUSER: its first start copies, each one follows.
set -euo pipefail
PGPASSWORD=$(cat /run/secrets/replicator_password)
export PGPASSWORD

if [ ! -e "$PGDATA" ]; then
  # A copy that was interrupted never gets the name.
  mkdir -p "$(dirname "$PGDATA")"
  rm -rf "$PGDATA.copy"
  pg_basebackup --pgdata "$PGDATA.copy" --write-recovery-conf --checkpoint fast
  mv "$PGDATA.copy" "$PGDATA"
fi
exec "$@"
