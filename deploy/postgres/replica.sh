#!/usr/bin/env bash
# A streaming replica of PGHOST, as PGUSER: the first start copies the data, each start replays changes.
set -euo pipefail
PGPASSWORD=$(cat /run/secrets/replicator_password)
export PGPASSWORD

if [ ! -e "$PGDATA" ]; then
  # An interrupted copy never gets the final name.
  mkdir -p "$(dirname "$PGDATA")"
  rm -rf "$PGDATA.copy"
  pg_basebackup --pgdata "$PGDATA.copy" --write-recovery-conf --checkpoint fast
  mv "$PGDATA.copy" "$PGDATA"
fi
exec "$@"
