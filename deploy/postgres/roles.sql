-- Roles of Portico's database, and the database, by a superuser, once: psql --file deploy/postgres/roles.sql
-- It sets no passwords: passwords.sql does in compose; elsewhere, use \password NAME in psql.

-- Owns the database and its tables, and migrates.
CREATE ROLE portico_owner LOGIN;
-- Has the rights for serving, which the owner grants with `portico db grant portico_server`.
CREATE ROLE portico_server NOLOGIN;
-- One of the two serves: a password is changed by switching to the other one.
CREATE ROLE portico_a LOGIN IN ROLE portico_server;
CREATE ROLE portico_b LOGIN IN ROLE portico_server;
-- Reads everything and changes nothing.
CREATE ROLE portico_backup LOGIN IN ROLE pg_read_all_data;

CREATE DATABASE portico OWNER portico_owner TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE portico FROM PUBLIC;
-- `users import` and `audit verify` use temporary tables.
GRANT CONNECT, TEMPORARY ON DATABASE portico TO portico_server;
GRANT CONNECT ON DATABASE portico TO portico_backup;
