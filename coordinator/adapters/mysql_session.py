"""A session on MySQL or MariaDB by PyMySQL: every text sent as it stands, every result of it read.

A text may hold several statements, as golang-migrate sends a whole file; the server answers them one by one,
so the number of answers before an error tells which statement failed, and an error behind the first is seen
only by who reads to the end. A statement that changes the schema commits itself and what stood before it. So
each answer is looked at (its status flag, no query) for whether the transaction is still open, and a failure
says how many texts are committed. Another transaction is begun there: what follows is whole or not at all.
Both engines share this file: what migrations need is the same in both.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import timedelta
from functools import partial

import pymysql
from pymysql.connections import Connection
from pymysql.constants import ER, SERVER_STATUS

from coordinator.adapters import mysql_table_lock, mysql_variables
from coordinator.adapters.batches import (
    connection_lost,
    cursor_moved,
    ledger_changed,
    lock_held,
    transaction_ended,
    transaction_left_open,
)
from coordinator.adapters.mysql_lock_waits import LockWaits, may_repeat, takes_several
from coordinator.adapters.mysql_refusals import KILLED, LOST, refusal_from
from coordinator.adapters.mysql_url import message_of, scrub
from coordinator.adapters.silent_hosts import cut_off
from coordinator.errors import ENDED, DatabaseError, Waiting
from coordinator.model import Engine
from coordinator.ports.databases import Batch, LockId, Patience, TableLock, Target
from coordinator.sql import (
    SqlStatement,
    ends_transaction,
    literal,
    split_statements,
    stays_in_transaction,
)

_POLL_SECONDS = 0.1
_BEGIN = "START TRANSACTION"
_HOLDER = """
SELECT id, user, host, command, time FROM information_schema.processlist WHERE id = IS_USED_LOCK({name})
"""
_PROGRAM = """
SELECT attr_value FROM performance_schema.session_account_connect_attrs
WHERE processlist_id = {process} AND attr_name = 'program_name'
"""
"""MySQL has this by default, MariaDB with `performance_schema = ON`; of the same account's sessions alone."""

Rows = list[tuple[object, ...]]
Watch = Callable[[SqlStatement, Callable[[str], Rows], Callable[[], bool]], None]
"""Gets each statement of a batch, what sends it, or something in its place, and what tells whether the server
has warned of what was sent last, which no query does without making it forgotten; a rehearsal watches so."""


class MysqlSession:
    """One connection, and another one while a lock in a table is held; see ports.Session."""

    def __init__(
        self,
        connection: Connection,
        engine: Engine,
        *,
        connect_again: Callable[[], Connection],
        secrets: tuple[str, ...],
        lock_timeout: timedelta,
        sql_mode: str | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._connection = connection
        self._sql_mode = "DEFAULT" if sql_mode is None else literal(sql_mode, engine)
        self._watch = watch
        self._connect_again = connect_again
        self._engine = engine
        self._secrets = secrets
        self._seconds = max(1, math.ceil(lock_timeout.total_seconds()))
        self._database = ""
        self._is_settled = False
        self._set: dict[str, str] = {}
        """What a batch may have set of the session, with the value before."""
        self._committed = 0
        self._warnings = 0
        self._is_answered = False
        """The server has answered all of what was sent last, and so has said if a transaction is open."""
        self._waits: LockWaits | None = None

    def relabel(self, label: str) -> None:
        """Do nothing: a connection's attributes are those that it began with."""

    def server(self) -> str:
        """Return what the server says of itself: its version, and who made it."""
        [[name, said]] = self._send("SELECT DATABASE(), CONCAT_WS(' ', VERSION(), @@version_comment)")
        self._take_database(name)
        return str(said)

    def _take_database(self, name: object) -> None:
        self._database = "`" + str(name).replace("`", "``") + "`"

    def target(self, table: str | None) -> Target:
        """Return what this connection is connected to."""
        [[database]] = self.query("SELECT DATABASE()")
        return Target(self._engine, str(database), None, table)

    def query(self, sql: str, *, within: timedelta | None = None) -> Rows:
        """Run one query in a read-only transaction and return its rows."""
        self._settle()
        # A read-only transaction refuses to explain a write, too.
        begin = _BEGIN + ("" if sql.startswith("EXPLAIN ") else " READ ONLY")
        text = sql if within is None else self._limited(sql, within)
        statements = split_statements(text, self._engine)
        if len(statements) == 1 and statements[0].is_closed:
            text = f"{statements[0].text.removesuffix(';')}\n;ROLLBACK"
        try:
            return self._send(text, behind=begin)
        finally:
            self._roll_back()

    def _limited(self, sql: str, within: timedelta) -> str:
        """Return a SELECT that the server ends when a time is over."""
        if self._engine is Engine.MARIADB:
            return f"SET STATEMENT max_statement_time = {within.total_seconds()} FOR {sql}"
        milliseconds = within // timedelta(milliseconds=1)
        return sql.replace("SELECT", f"SELECT /*+ MAX_EXECUTION_TIME({milliseconds}) */", 1)

    def execute(self, batch: Batch) -> None:
        """Send a batch; see ports.Batch for what a transaction can hold here."""
        self._settle()
        if names := mysql_variables.set_by(batch.statements, self._engine):
            self._set = self._variables(names)
        self._is_settled = False
        self._committed = 0
        try:
            with self._patiently(batch.patience):
                if batch.transaction:
                    self._execute_together(batch)
                else:
                    self._execute_each(batch)
        finally:
            self._roll_back()
            self._committed = 0

    @contextmanager
    def _patiently(self, patience: Patience | None) -> Iterator[None]:
        """Let changes of the schema be tried again and again, where somebody has the patience."""
        if patience is None:
            yield
            return
        with LockWaits(self._connection, self._connect_again, patience) as waits:
            self._waits = waits
            try:
                yield
            finally:
                self._waits = None

    def execute_all(self, batches: Iterable[Batch], *, labels: Sequence[str]) -> int:
        """Send none: what changes the schema commits itself, so that nothing behind it could be held back."""
        del batches, labels
        return 0

    def make_durable(self) -> None:
        """Do nothing: a commit is as durable as this database makes it when it is answered."""

    def cut_off(self) -> None:
        """End the connection from another thread."""
        with suppress(AttributeError, OSError):  # it is gone already
            cut_off(self._connection._sock.fileno())  # type: ignore[attr-defined]  # noqa: SLF001 - the driver's

    @contextmanager
    def locked(self, lock_ids: Sequence[LockId], *, timeout: timedelta) -> Iterator[None]:
        """Hold named locks and rows, polled and never waited for; Waiting with the holder when time is up."""
        deadline = time.monotonic() + timeout.total_seconds()
        with ExitStack() as held:
            for lock_id in lock_ids:
                if isinstance(lock_id, TableLock):
                    held.enter_context(self._row_locked(lock_id, deadline))
                else:
                    name = literal(str(lock_id), self._engine)
                    self._poll_lock(name, deadline)
                    held.callback(self._let_go, name)
            yield

    @contextmanager
    def _row_locked(self, lock: TableLock, deadline: float) -> Iterator[None]:
        if not self._send(mysql_table_lock.is_there_query(lock)):
            yield
            return
        with closing(self._connect_again()) as connection, ExitStack() as held:
            try:
                held.enter_context(mysql_table_lock.held(connection, lock, deadline=deadline))
            except pymysql.Error as error:
                raise self._error_from(error, "", index=None, answered=0, commits=False) from error
            yield

    def _let_go(self, name: str) -> None:
        with suppress(DatabaseError):  # a lost connection has lost its locks as well
            self._send(f"SELECT RELEASE_LOCK({name})")

    def _settle(self) -> None:
        """Undo what texts did to the session: its database, its table locks, its settings.

        Done before the next use and never after a commit, where a lost connection would look like a failure.
        The checks are the server's own: MySQL 8 turns them off for `= DEFAULT`, and tells that nowhere.
        `lock_wait_timeout` is for what a statement needs of a table, `innodb_lock_wait_timeout` for its rows.
        """
        if self._is_settled:
            return
        if self._set:
            self._set_back()
        if not self._database:
            [[name]] = self._send("SELECT DATABASE()")
            self._take_database(name)
        self._send(
            f"UNLOCK TABLES;USE {self._database};"
            f"SET SESSION autocommit = 1, completion_type = NO_CHAIN, sql_mode = {self._sql_mode},"
            " foreign_key_checks = @@GLOBAL.foreign_key_checks,"
            f" unique_checks = @@GLOBAL.unique_checks, lock_wait_timeout = {self._seconds},"
            f" innodb_lock_wait_timeout = {self._seconds}, wait_timeout = {mysql_table_lock.KEPT_SECONDS};"
            "SET SESSION TRANSACTION READ WRITE"
        )
        self._is_settled = True

    def _variables(self, names: Iterable[str]) -> dict[str, str]:
        return {
            str(name): str(value) for name, value in self._send(mysql_variables.shown(names, self._engine))
        }

    def _set_back(self) -> None:
        """Give variables the values again that they had before a batch which may have set them."""
        now = self._variables(self._set)
        for name, value in self._set.items():
            for text in mysql_variables.setting_back(name, value, self._engine) if now[name] != value else ():
                with suppress(DatabaseError):  # it cannot be set, so no batch has
                    self._send(text)
                    break
        self._set = {}

    def _execute_together(self, batch: Batch) -> None:
        begin = self._pass_guards(batch)
        for index, text in enumerate(batch.statements):
            statements = split_statements(text, self._engine)
            may_commit = not all(stays_in_transaction(each) for each in statements)
            try:
                self._run(text, index=index, commits=may_commit, behind=begin)
            except DatabaseError as error:
                self._say_what_stays(error, statements, index)
                raise
            is_open = self._is_in_transaction()
            if not is_open:
                if any(ends_transaction(each) for each in statements):
                    raise transaction_ended(index)
                self._committed = index + 1
            self._mark(batch, index)
            begin = "" if is_open else _BEGIN
        if not begin:
            self._send("COMMIT", commits=True)

    def _pass_guards(self, batch: Batch) -> str:
        """Begin with what has to hold; return what is to begin a transaction where nothing has to."""
        begin = _BEGIN
        if batch.guard is not None:
            if self._send(batch.guard, behind=begin):
                raise ledger_changed()
            begin = ""
        if batch.fence is not None:
            self._send(batch.fence, behind=begin)
            begin = ""
            if self._send("SELECT ROW_COUNT()") != [(1,)]:
                raise cursor_moved()
        return begin

    def _say_what_stays(self, error: DatabaseError, statements: Sequence[SqlStatement], index: int) -> None:
        """Say of a text that failed what of the batch is committed, and whether it may be sent again."""
        self._count_what_it_committed(error, statements, index)
        was_open = not error.committed and all(stays_in_transaction(each) for each in statements)
        if error.is_busy or (was_open and error.code == "lock-timeout"):
            self._take_back(error)

    def _count_what_it_committed(
        self, error: DatabaseError, statements: Sequence[SqlStatement], index: int
    ) -> None:
        """Say of a text that failed that those before it are committed, where it has ended their transaction.

        A change of the schema commits what stood before it, and only then waits for its table or fails
        (MariaDB's and MySQL's manuals, "Statements That Cause an Implicit Commit"). An error carries no
        status; the next answer does.
        """
        failed = next((each for each in statements if each.offset + 1 == error.position), None)
        if failed is None or stays_in_transaction(failed) or error.code == "connection-lost":
            return
        self._send("DO 0")
        if not self._is_in_transaction():
            error.committed = max(error.committed, index)
            error.is_busy = error.is_busy and not index

    def _take_back(self, error: DatabaseError) -> None:
        """Say of a batch that others were in the way of whether nothing of it stays, so that it may be sent
        again: also where it was not the first statement of its text.

        Of rows in tables without transactions (MyISAM) the server warns when it takes the others back: after
        a deadlock it has, before it says so.
        """
        warned = self._send("SHOW WARNINGS")
        self._send("ROLLBACK")
        warned += self._send("SHOW WARNINGS")
        error.is_busy = all(number != ER.WARNING_NOT_COMPLETE_ROLLBACK for _, number, _ in warned)
        if not error.is_busy:
            error.why += " What it wrote to tables without transactions (MyISAM) stays."

    def _execute_each(self, batch: Batch) -> None:
        for index, text in enumerate(batch.statements):
            self._committed = index
            self._run(text, index=index, commits=True)
            self._mark(batch, index)
        if self._is_in_transaction():
            raise transaction_left_open()

    def _mark(self, batch: Batch, index: int) -> None:
        """Write down, if it is asked for, that a text has run; as lasting as what the text did."""
        is_open = self._is_in_transaction()
        if mark := batch.mark_after(index):
            self._send(mark)
            if not is_open and self._is_in_transaction():  # the file turned autocommit off
                self._send("COMMIT")

    def _run(self, text: str, *, index: int, commits: bool, behind: str = "") -> None:
        """Send a text of a batch, whole; where somebody watches, statement by statement."""
        statements = split_statements(text, self._engine)
        if behind and (self._watch is not None or not statements):
            self._send(
                behind
            )  # alone: the server drops a lone `;` behind another statement, and refuses it else
            behind = ""
        if self._waits is not None and may_repeat(statements):  # it is in no transaction
            several = takes_several(statements)
            send = partial(self._send, index=index, commits=commits)
            self._waits.repeat(text, lambda: send(text), has_run=index > 0, takes_several=several)
            return
        send = partial(self._send, index=index, commits=commits, behind=behind)
        if self._watch is None or not statements or not all(each.is_closed for each in statements):
            send(text)
            return
        for each in statements:
            try:
                self._watch(each, send, lambda: self._warnings > 0)
            except DatabaseError as error:
                error.position = each.offset + 1
                raise

    def _is_in_transaction(self) -> bool:
        status: int = self._connection.server_status  # type: ignore[attr-defined]  # unknown to the stubs
        return bool(status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)

    def _poll_lock(self, name: str, deadline: float) -> None:
        while self._send(f"SELECT GET_LOCK({name}, 0)") != [(1,)]:
            if time.monotonic() >= deadline:
                raise self._lock_held(name)
            time.sleep(_POLL_SECONDS)

    def _lock_held(self, name: str) -> Waiting:
        holders = [
            f"process {pid} ({self._program(pid)}, {user} from {host}, {command} for {seconds} s)"
            for pid, user, host, command, seconds in self._send(_HOLDER.format(name=name))
        ]
        return lock_held(name, holders, unseen="it has just let go, or this user may not see it")

    def _program(self, process: object) -> str:
        with suppress(DatabaseError):  # a server without this table, or a user who may not see it
            for [name] in self._send(_PROGRAM.format(process=process)):
                return str(name)
        return "without a name"

    def _send(self, text: str, *, index: int | None = None, commits: bool = False, behind: str = "") -> Rows:
        """Send one text as it is, read all its results and return the rows of the first.

        `behind` is a statement of ours that goes before it, in the same trip. `index` is the text's place in
        its batch; `commits` says that it may commit, so that a connection that is lost leaves a doubt.
        Raises: DatabaseError.
        """
        answered = 0
        self._is_answered = False
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(f"{behind};{text}" if behind else text)
                if behind:
                    cursor.nextset()
                self._warnings = cursor.warning_count
                rows = list(cursor.fetchall()) if cursor.description else []
                answered = 1
                while cursor.nextset():
                    answered += 1
        except pymysql.Error as error:
            raise self._error_from(error, text, index=index, answered=answered, commits=commits) from error
        self._is_answered = True
        return rows

    def _position_of(self, text: str, answered: int) -> int | None:
        """Return where the statement begins that follows so many answers, in characters from 1.

        A procedure answers as often as it likes, so nothing behind a CALL is counted.
        """
        statements = split_statements(text, self._engine)
        if answered >= len(statements) or any(each.words[:1] == ("CALL",) for each in statements[:answered]):
            return None
        return statements[answered].offset + 1

    def _error_from(
        self, error: pymysql.Error, text: str, *, index: int | None, answered: int, commits: bool
    ) -> DatabaseError:
        position = None if index is None else self._position_of(text, answered)
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        message = scrub(message_of(error), self._secrets)
        if number in LOST or not self._connection.open:
            return connection_lost(
                message,
                commits=commits,
                statement=index,
                sqlstate=ENDED if number == KILLED else None,
                position=position,
                committed=self._committed,
            )
        return refusal_from(
            number,
            message,
            statement=index,
            position=position,
            committed=self._committed,
            is_first=answered == 0,
        )

    def _roll_back(self) -> None:
        """End the transaction that is open, if one is or nobody knows; nothing of it stays."""
        if self._connection.open and not (self._is_answered and not self._is_in_transaction()):
            with suppress(pymysql.Error):
                self._connection.rollback()
