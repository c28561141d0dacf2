#!/usr/bin/env bash
# Runs once, when the primary is made: the roles, which are not superusers, and the database.
set -euo pipefail

psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv portico PORTICO_DATABASE_PASSWORD
\getenv replicator REPLICATION_PASSWORD
CREATE ROLE portico LOGIN PASSWORD :'portico';
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replicator';
CREATE DATABASE portico OWNER portico TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE portico FROM PUBLIC;
SQL

# Replicas come from the networks that the server is in itself.
echo "host replication replicator samenet scram-sha-256" >>"$PGDATA/pg_hba.conf"
