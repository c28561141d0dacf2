#!/usr/bin/env bash
# Runs once, when the primary is created: the roles, none of which is a superuser, and the database.
set -euo pipefail

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
  --file /roles.sql --command "CREATE ROLE replicator LOGIN REPLICATION" --file /passwords.sql

# Replicas connect from the networks of the server itself.
echo "host replication replicator samenet scram-sha-256" >>"$PGDATA/pg_hba.conf"
