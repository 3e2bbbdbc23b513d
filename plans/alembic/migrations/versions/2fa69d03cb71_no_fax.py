"""Nobody has a fax machine.

Create Date: 2026-05-12 10:55:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2fa69d03cb71"
down_revision = "4b1d8e60a7c2"
branch_labels = ("contract",)
depends_on = "c7e41b95f380"


def upgrade() -> None:
    op.drop_column("members", "fax")


def downgrade() -> None:
    op.add_column("members", sa.Column("fax", sa.Text))
