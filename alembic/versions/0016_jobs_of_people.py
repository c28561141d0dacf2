"""An index that finds the jobs about a user: to delete them with the account, and to export them.

Revision: 0016, after 0015
"""

from sqlalchemy import text

from app.database import online_ddl

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

PERSON = "ix_pgqueuer_person"


def upgrade() -> None:
    online_ddl.create_index(PERSON, "pgqueuer", [text("(headers ->> 'person')")])


def downgrade() -> None:
    online_ddl.drop_index(PERSON, "pgqueuer")
