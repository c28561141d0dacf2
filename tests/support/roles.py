"""Temporary roles on the database server."""

import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import make_url

from app.testing.databases import on_server
from app.testing.leaks import SECRETS

PASSWORD = "horse-battery-8"
# Rights of a role that was set up without `portico db grant`.
TO_SERVE = (
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
    "GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
)


class Role:
    """A role that can connect to a database, at `url`."""

    def __init__(self, admin_url: str) -> None:
        self.name = f"portico_test_{uuid.uuid4().hex[:12]}"
        self.admin_url = admin_url
        url = make_url(admin_url).set(username=self.name, password=PASSWORD)
        self.url = url.render_as_string(hide_password=False)

    async def administer(self, *statements: str, schema: str = "public") -> None:
        """Run statements as an administrator; {role} is replaced by the name of this role."""
        for statement in statements:
            await on_server(self.admin_url, statement.format(role=self.name, schema=schema))


@asynccontextmanager
async def role(admin_url: str, statements: Sequence[str] = ()) -> AsyncGenerator[Role]:
    SECRETS.add(PASSWORD)
    made = Role(admin_url)
    await made.administer(f"CREATE ROLE {{role}} LOGIN PASSWORD '{PASSWORD}'", *statements)
    try:
        yield made
    finally:
        await made.administer("DROP OWNED BY {role} CASCADE", "DROP ROLE {role}")
