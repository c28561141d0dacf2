"""Declarations on a table: the rights of roles, and which columns are in copies of user data."""

from typing import Any

from app.database import personal_data as of_users
from app.database import rights as of_roles
from app.database.personal_data import NotExported, PersonalColumns
from app.database.rights import ROWS, Rights


def table_info(
    *, rights: Rights = ROWS, personal_data: PersonalColumns | NotExported | None = None
) -> dict[str, Any]:
    """Returns the declarations, for `__table_args__`.

    Without `personal_data`, a table with a foreign key to `users` is in the copy of a user's data,
    except that key and binary columns.
    """
    info = {of_roles.KEY: rights, of_users.KEY: personal_data}
    return {"info": info}
