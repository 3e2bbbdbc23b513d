"""Letters that were sent.

Create Date: 2026-05-12 10:40:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "c7e41b95f380"
down_revision = "93c0f2e7d518"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "letters",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("member", sa.BigInteger, sa.ForeignKey("members.id"), nullable=False),
        sa.Column("sent", sa.Date, nullable=False),
    )
    op.create_index("letters_by_member", "letters", ["member", "sent"])


def downgrade() -> None:
    op.drop_table("letters")
