"""Where a member is written to.

Create Date: 2026-05-11 14:03:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "93c0f2e7d518"
down_revision = "4b1d8e60a7c2"
branch_labels = ("expand",)
depends_on = None


def upgrade() -> None:
    op.add_column("members", sa.Column("email", sa.Text))
    op.create_check_constraint("email_has_at", "members", "email LIKE '%@%'", postgresql_not_valid=True)


def downgrade() -> None:
    op.drop_column("members", "email")
