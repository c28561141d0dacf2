-- Roles of Portico's database, and the database, by a superuser, once: psql --file deploy/postgres/roles.sql
-- No password is set: passwords.sql does it in compose; elsewhere, \password NAME in psql.

-- Owns the database and its tables, and migrates.
CREATE ROLE portico_owner LOGIN;
-- Has what serving needs, which `portico db grant portico_server` gives it as the owner.
CREATE ROLE portico_server NOLOGIN;
-- One of the two serves: the password is changed by going from one to the other.
CREATE ROLE portico_a LOGIN IN ROLE portico_server;
CREATE ROLE portico_b LOGIN IN ROLE portico_server;
-- Reads everything and changes nothing.
CREATE ROLE portico_backup LOGIN IN ROLE pg_read_all_data;

CREATE DATABASE portico OWNER portico_owner TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE portico FROM PUBLIC;
-- `users import` and `audit verify` keep temporary tables.
GRANT CONNECT, TEMPORARY ON DATABASE portico TO portico_server;
GRANT CONNECT ON DATABASE portico TO portico_backup;
