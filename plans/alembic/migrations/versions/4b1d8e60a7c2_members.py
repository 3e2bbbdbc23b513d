"""Members and their fax machines.

Create Date: 2025-03-04 09:12:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "4b1d8e60a7c2"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "members",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("fax", sa.Text),
    )


def downgrade() -> None:
    op.drop_table("members")
