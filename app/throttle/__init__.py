"""Rate limits: budgets that attempts are charged to."""
