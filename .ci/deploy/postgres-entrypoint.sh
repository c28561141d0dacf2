#!/usr/bin/env bash
# What the official image of PostgreSQL does before it starts one, as far as compose.yaml counts on it.
set -euo pipefail
if [ ! -e "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  initdb -U postgres --encoding=UTF8 --auth-local=trust --auth-host=scram-sha-256 \
    --pwfile=<(cat "$POSTGRES_PASSWORD_FILE")
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  pg_ctl --wait --options "-c listen_addresses=''" start
  for script in /docker-entrypoint-initdb.d/*.sh; do
    POSTGRES_USER=postgres bash "$script"
  done
  pg_ctl --wait --mode fast stop
fi
exec "$@"
