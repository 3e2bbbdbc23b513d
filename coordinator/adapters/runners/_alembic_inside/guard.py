"""No connection to another database: each one is asked which it is before anything else is sent over it."""

from __future__ import annotations

from typing import Any

from .refusal import Lost, Refused, told


def guard(request: dict[str, Any], answer: dict[str, Any]) -> None:
    """Ask every new connection which database it is, count what is committed, and tell who cannot connect."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine
    from sqlalchemy.pool import Pool

    answer["commits"] = 0

    dialects: list[Any] = []

    def connects(dialect: Any, *_: Any) -> None:
        answer["connects"] = True
        dialects[:] = [dialect]

    def check(connection: Any, _record: Any) -> None:
        answer["connects"] = False
        cursor = connection.cursor()
        try:
            found, why = _identity(cursor, request["identity_query"])
            if why is not None and any(each.is_disconnect(why, connection, cursor) for each in dialects):
                raise Lost(f"The connection was lost before anything was sent over it: {told(why)}") from why
            if found != request["identity"]:
                answer["is_elsewhere"] = True
                raise Refused(
                    "env.py connects to another database than the one that it was told: it is to use"
                    f" `sqlalchemy.url`{_or_elsewhere(request)}. Nothing was sent there."
                )
            for each in request["settings"]:
                cursor.execute(each)
        finally:
            cursor.close()
        connection.commit()

    def count(_connection: Any) -> None:
        answer["commits"] += bool(answer.get("began"))

    event.listen(Engine, "do_connect", connects)
    event.listen(Pool, "connect", check)
    event.listen(Engine, "commit", count)


def _identity(cursor: Any, query: str) -> tuple[list[str] | None, Exception | None]:
    """Return what a server says about itself, or why it says nothing: it may not know the question."""
    try:
        cursor.execute(query)
        return [str(each) for each in cursor.fetchone()], None
    except Exception as error:  # of whichever driver
        return None, error


def _or_elsewhere(request: dict[str, Any]) -> str:
    named = [f"the variable {request['variable']}"] if request["variable"] else []
    told = [f"`-x {key}`" for key, value in request["x_arguments"].items() if "{url}" in value]
    return "".join(f" or {each}" for each in (*named, *told))
