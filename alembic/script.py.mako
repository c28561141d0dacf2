"""${message}

Revision: ${up_revision}, after ${down_revision or "nothing"}
"""

import sqlalchemy as sa

from alembic import op
${imports if imports else ""}
revision = "${up_revision}"
down_revision = ${'None' if down_revision is None else '"' + down_revision + '"'}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
