"""The Python paths of Portico's own modules: the only list of them."""

# Settings are in this order: those of throttle come just before those of the budgets.
PORTICO = (
    "app.users",
    "app.keys",
    "app.jobs",
    "app.mail",
    "app.audit",
    "app.sessions",
    "app.accounts",
    "app.factors",
    "app.people",
    "app.throttle",
)
