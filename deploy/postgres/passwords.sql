-- Sets the password of each role from its file. Run it after each change, as the superuser on the socket:
--   docker compose exec postgres psql --username postgres --file /passwords.sql
\set ON_ERROR_STOP 1
\set owner `cat /run/secrets/portico_owner_password`
\set a `cat /run/secrets/portico_a_password`
\set b `cat /run/secrets/portico_b_password`
\set backup `cat /run/secrets/portico_backup_password`
\set replicator `cat /run/secrets/replicator_password`
-- The server must not log passwords.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
ALTER ROLE portico_owner PASSWORD :'owner';
ALTER ROLE portico_a PASSWORD :'a';
ALTER ROLE portico_b PASSWORD :'b';
ALTER ROLE portico_backup PASSWORD :'backup';
ALTER ROLE replicator PASSWORD :'replicator';
