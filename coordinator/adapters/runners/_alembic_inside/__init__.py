"""What works in a process of the user's project, with its Alembic and nothing of coordinator.

_alembic_child.py imports it under another name, so its modules name each other by a dot alone, and what they
need of Alembic and SQLAlchemy where they need it: what lacks is an answer too.
"""
