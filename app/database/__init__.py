"""PostgreSQL: connections, units of work, pages, outages, a replica, migrations."""
