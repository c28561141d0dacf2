"""The timeouts of migrations, which bound how long others wait for them."""

# All later transactions queue behind one that waits for a lock on a table, so a migration gives up
# soon and tries again. Not sooner: PostgreSQL cancels an autovacuum that blocks a lock only after
# `deadlock_timeout`, a second.
LOCK_TIMEOUT = "1500ms"
# In a transaction, a statement blocks others while it runs. What takes longer on a big table
# belongs outside of transactions, where it blocks none.
STATEMENT_TIMEOUT = "5s"
LIMITS = (
    f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'",
    f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'",
)
