"""Files and folders of odd forms for golang-migrate, and what is expected of each.

SAME: the hook ends as the real tool does and leaves the same behind. CLEAN: both fail and leave the same
schema, but the real tool leaves a dirty version and the hook, which works in one transaction, does not.
REFUSED: the hook refuses before anything is sent; the row says what the real tool does instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from peers.real_tools import Files

A = "CREATE TABLE a (x integer);\n"
B = "CREATE TABLE b (x integer);\n"
FAILS = "SELECT nothing_of_this_name;\n"
FUNCTION = (
    "CREATE FUNCTION f() RETURNS integer AS $$\nBEGIN\n  PERFORM 1;\n  RETURN 1;\nEND;\n"
    "$$ LANGUAGE plpgsql;\n"
)
TRIGGER = (
    "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  INSERT INTO b VALUES (new.x);\n  DELETE FROM b;\nEND;\n"
)


@dataclass(frozen=True)
class Trap:
    """A folder that the hook refuses with `code`; the real tool ends with what the other fields say."""

    files: Files
    code: str
    ends_well: bool
    tables: frozenset[str] = frozenset()
    ledger: tuple[tuple[int, bool], ...] = ()


# One file, 1_case.up.sql, on both engines: both ways end the same.
SAME_FILES: dict[str, str] = {
    "one statement": A,
    "empty file": "",
    "blank lines only": "\n \t\n",
    "comment only": "-- nothing\n",
    "block comment only": "/* nothing */\n",
    "semicolon only": ";",
    "semicolons and comments": ";;\n-- x\n;\n",
    "missing last semicolon": "CREATE TABLE a (x integer)",
    "several statements": A + B,
    "two statements on one line": "CREATE TABLE a (x integer); CREATE TABLE b (x integer);",
    "statement before a block comment": "CREATE TABLE a (x integer); /* c */\n" + B,
    "statement before a comment": "CREATE TABLE a (x integer); -- c ;\n" + B,
    "comment that mentions up": "-- +goose Up\n" + A,
    "declared phase": "-- coordinator: phase=expand\n" + A,
    "crlf line ends": (A + B).replace("\n", "\r\n"),
    "semicolon in a string": A + "INSERT INTO a VALUES (length('x;\ny; '));\n",
    "semicolon in a block comment": "/* one;\ntwo; */\n" + A,
    "semicolon in a quoted name": 'CREATE TABLE "a;b" (x integer);\n',
    "quote in a string": A + "INSERT INTO a VALUES (length('it''s; here'));\n",
    "percent signs": A + "INSERT INTO a SELECT 7 % 4;\nINSERT INTO a SELECT length('%s %(x)s %%');\n",
    "question marks and colons in a string": A + "INSERT INTO a SELECT length('? :x $1');\n",
    "letters beyond ascii": 'CREATE TABLE "größe" (x integer); -- naïve\n',
    "begin as a word in a string": A + "INSERT INTO a SELECT length('BEGIN; COMMIT;');\n",
    "commit in a comment": A + "-- COMMIT;\n/* BEGIN; */\n",
    "drop what is not there": "DROP TABLE IF EXISTS a;\n" + A,
    "rows": A + "INSERT INTO a VALUES (1), (2), (3);\nDELETE FROM a WHERE x = 2;\n",
    "index": A + "CREATE INDEX i ON a (x);\nCREATE UNIQUE INDEX j ON a (x);\n",
    "view": A + "CREATE VIEW v AS SELECT x FROM a;\n",
    "alter table": A + "ALTER TABLE a ADD COLUMN y integer DEFAULT 1;\nALTER TABLE a RENAME TO b;\n",
    "long file": A + "INSERT INTO a VALUES (1);\n" * 3000,
    "long line": A + "INSERT INTO a VALUES (1)" + ", (2)" * 100_000 + ";\n",
}
SAME_POSTGRESQL: dict[str, str] = {
    "function": FUNCTION + A,
    "do block": "DO $$ BEGIN CREATE TABLE a (x integer); END $$;\n",
    "do block that commits": "DO $$ BEGIN CREATE TABLE a (x integer); COMMIT; END $$;\n",
    "nested block comment": "/* a /* b; */ c; */ " + A,
    "tagged dollar quotes": "DO $tag$ BEGIN PERFORM '$$;'; END $tag$;\n" + A,
    "escape string": A + "INSERT INTO a SELECT length(E'it\\'s; ');\n",
    "sql function body": "CREATE FUNCTION f() RETURNS integer BEGIN ATOMIC SELECT 1; SELECT 2; END;\n" + A,
    "rule with two statements": A + B + "CREATE RULE r AS ON DELETE TO a DO (SELECT 1; DELETE FROM b);\n",
    "own transaction": "BEGIN;\n" + A + "COMMIT;\n",
    "own transaction, then more": "BEGIN;\n" + A + "COMMIT;\n" + B,
    "own transaction in small letters": "begin;\n" + A + "end;\n",
    "start transaction": "START TRANSACTION;\n" + A + "COMMIT;\n",
    "own transaction that is rolled back": "BEGIN;\n" + A + "ROLLBACK;\n" + B,
    "own transaction, then a failure": "BEGIN;\n" + A + "COMMIT;\n" + FAILS,
    "savepoints": "BEGIN;\nSAVEPOINT s;\n" + A + "ROLLBACK TO SAVEPOINT s;\n" + B + "COMMIT;\n",
    "commit without begin": A + "COMMIT;\n" + B,
    "transaction level": "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\n" + A,
    "search path": "CREATE SCHEMA app;\nSET search_path = app;\n" + A,
    "empty search path": "SELECT set_config('search_path', '', false);\nCREATE TABLE public.a (x int);\n",
    "enum value alone": "CREATE TYPE e AS ENUM ('a');\n",
    "vacuum alone": "VACUUM;\n",
    "vacuum alone with comments": "-- tidy\nVACUUM;\n/* done */\n",
    "index concurrently alone that fails": "CREATE INDEX CONCURRENTLY i ON a (x);\n",
    "alter system alone": "ALTER SYSTEM RESET ALL;\n",
    "call of a procedure": "CREATE PROCEDURE p() LANGUAGE sql AS $$ CREATE TABLE a (x int) $$;\n",
    "session setting": "SET statement_timeout = '1min';\n" + A,
    "local setting": "SET LOCAL statement_timeout = '1min';\n" + A,
    "temporary table": "CREATE TEMPORARY TABLE a (x integer);\n" + B,
    "own lock of the table": A + "LOCK TABLE a;\n",
    "no-break space only": "\u00a0\n",
    "extension": "CREATE EXTENSION IF NOT EXISTS plpgsql;\n" + A,
}
SAME_SQLITE: dict[str, str] = {
    "trigger": A + B + TRIGGER,
    "trigger, then more": A + B + TRIGGER + "CREATE TABLE c (x integer);\n",
    "trigger with a case": A
    + "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  SELECT CASE WHEN 1 THEN 2 END;\nEND;\n"
    + B,
    "quoted with brackets": "CREATE TABLE [it's] (x integer);\n" + A,
    "quoted with backticks": "CREATE TABLE `a;b` (x integer);\n",
    "comment that never ends": A + "/* open;\n",
    "pragma": "PRAGMA foreign_keys = ON;\n" + A,
    "byte order mark before a trigger": A + B + "\ufeff" + TRIGGER,
    "vertical tab before a trigger": A + B + "\v" + TRIGGER,
    "without rowid": "CREATE TABLE a (x integer PRIMARY KEY) WITHOUT ROWID;\n",
}

# Both fail and leave the same schema; the real tool leaves version 1 dirty.
CLEAN_FILES: dict[str, str] = {
    "statement that fails first": "SELEC 1;\n" + A,
    "statement that fails last": A + FAILS,
    "unknown table": "INSERT INTO nowhere VALUES (1);\n",
    "string that never ends": A + "INSERT INTO a VALUES ('open;\n",
    "no-break space last": A + "\u00a0\n",
}
CLEAN_POSTGRESQL: dict[str, str] = {
    "psql command": "\\set x 1\n" + A,
    "dollar quote that never ends": A + "DO $$ BEGIN\n",
    "division by zero": A + "INSERT INTO a SELECT 1 / 0;\n",
    "own transaction that fails": "BEGIN;\n" + A + FAILS + "COMMIT;\n",
    "own transaction that fails at its commit": (
        "BEGIN;\nCREATE TABLE a (x integer UNIQUE DEFERRABLE INITIALLY DEFERRED);\n"
        "INSERT INTO a VALUES (1), (1);\nCOMMIT;\n"
    ),
    "deferred constraint that fails at commit": (
        "CREATE TABLE a (x integer UNIQUE DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO a VALUES (1), (1);\n"
    ),
}
CLEAN_SQLITE: dict[str, str] = {
    "vacuum": "VACUUM;\n",
}

# Files that need `x-multi-statement=true` on PostgreSQL; both ways end the same.
ONE_BY_ONE: dict[str, str] = {
    "index concurrently with another": A + "CREATE INDEX CONCURRENTLY i ON a (x);\n",
    "several indexes concurrently": A
    + "-- the first\nCREATE INDEX CONCURRENTLY i ON a (x);\n\n"
    + "CREATE INDEX CONCURRENTLY IF NOT EXISTS j\n  ON a (x);\n",
    "vacuum with another": A + "VACUUM a;\n",
    "a setting before": A + "SET lock_timeout = '3s';\nDROP INDEX CONCURRENTLY IF EXISTS i;\n" + B,
    "no semicolon at the end": A + "CREATE INDEX CONCURRENTLY i ON a (x)",
    "a failure in the middle": A + "CREATE INDEX CONCURRENTLY i ON a (x);\n" + FAILS + B,
}

# Folders that need `x-no-tx-wrap=true`; both ways end the same.
_PARENT = (
    "CREATE TABLE a (x integer PRIMARY KEY, y text);\n"
    "CREATE TABLE c (x integer PRIMARY KEY, a integer REFERENCES a (x) ON DELETE CASCADE);\n"
    "INSERT INTO a VALUES (1, 'one');\nINSERT INTO c VALUES (1, 1);\n"
)
_BUILT_ANEW = (
    "CREATE TABLE a_new (x integer PRIMARY KEY);\nINSERT INTO a_new SELECT x FROM a;\n"
    "DROP TABLE a;\nALTER TABLE a_new RENAME TO a;\n"
)
_BARE = "PRAGMA foreign_keys=OFF;\nBEGIN;\n{}COMMIT;\nPRAGMA foreign_keys=ON;\n"
NOT_WRAPPED: dict[str, Files] = {
    "own transaction": {"1_a.up.sql": "BEGIN;\n" + A + "COMMIT;\n"},
    "foreign keys off around it": {
        "1_a.up.sql": _BARE.format(_PARENT),
        "2_b.up.sql": _BARE.format(_BUILT_ANEW),
    },
    "a trigger in it": {"1_a.up.sql": _BARE.format(A + B + TRIGGER)},
    "two transactions": {"1_a.up.sql": _BARE.format(A) + _BARE.format(B)},
    "foreign keys off, and no transaction": {
        "1_a.up.sql": _BARE.format(_PARENT),
        "2_b.up.sql": "PRAGMA foreign_keys=ON;\nPRAGMA foreign_keys=OFF;\n" + _BUILT_ANEW,
    },
    "a vacuum": {"1_a.up.sql": _BARE.format(A), "2_b.up.sql": "VACUUM;\n"},
}
# The real tool leaves the version dirty.
CLEAN_NOT_WRAPPED: dict[str, str] = {
    "own transaction": "BEGIN;\n" + A + FAILS + "COMMIT;\n",
    "foreign keys off around it": _BARE.format(A + FAILS),
    "a key without its parent, at the commit": (
        "PRAGMA foreign_keys=ON;\nBEGIN;\nCREATE TABLE a (x integer PRIMARY KEY,"
        " y integer REFERENCES a (x) DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO a VALUES (1, 2);\nCOMMIT;\n"
    ),
}

# A folder, on SQLite; both ways end the same.
FOLDERS: dict[str, Files] = {
    "numeric order": {f"{n}_x.up.sql": f"CREATE TABLE t{n} (x integer);\n" for n in (1, 2, 10)},
    "leading zeros": {"0002_b.up.sql": B, "1_a.up.sql": A},
    "version zero": {"0_a.up.sql": A, "1_b.up.sql": B},
    "empty title": {"3_.up.sql": A},
    "title with directions": {"0002_b.up.down.up.sql": A},
    "names that do not match": {
        "1_a.up.sql": A,
        "2_b.sql": B,
        "b_2.up.sql": B,
        "README.md": "x",
        "2.up.sql": B,
    },
    "direction in capitals": {"1_a.up.sql": A, "2_b.UP.sql": B},
    "more before the extension": {"1_a.up..sql": A, "2_b.up.old.sql": B},
    "dotfile": {"1_a.up.sql": A, ".2_b.up.sql": B},
    "sign": {"1_a.up.sql": A, "+2_b.up.sql": B, "-3_b.up.sql": B},
    "two titles for one version": {"1_a.up.sql": A, "1_b.down.sql": "DROP TABLE a;\n"},
    "down file only": {"1_a.up.sql": A, "2_b.down.sql": "DROP TABLE a;\n"},
    "digits that are not ascii": {"1_a.up.sql": A, "\u0662_b.up.sql": B},
    "largest version": {f"{2**63 - 1}_a.up.sql": A},
    "timestamps": {"20240101000000_b.up.sql": B, "20230101000000_a.up.sql": A},
    "later file that fails": {"1_a.up.sql": A, "2_b.up.sql": ""},
}

TRAPS: dict[str, Trap] = {
    "backup is executed": Trap(
        {"1_a.up.sql": A, "2_b.up.sql.bak": B},
        "golang-migrate-extension",
        ends_well=True,
        tables=frozenset("ab"),
        ledger=((2, False),),
    ),
    "editor's copy is executed": Trap(
        {"1_a.up.sql~": A},
        "golang-migrate-extension",
        ends_well=True,
        tables=frozenset("a"),
        ledger=((1, False),),
    ),
    "version beyond 2^63 clears the table": Trap(
        {"1_a.up.sql": A, f"{2**64 - 1}_b.up.sql": B},
        "migration-version-range",
        ends_well=False,
        tables=frozenset("ab"),
        ledger=((1, True),),
    ),
    "version beyond 2^64 is skipped": Trap(
        {"1_a.up.sql": A, f"{2**64}_b.up.sql": B},
        "migration-version-range",
        ends_well=True,
        tables=frozenset("a"),
        ledger=((1, False),),
    ),
    "two files of one version": Trap(
        {"1_a.up.sql": A, "01_b.up.sql": B}, "duplicate-version", ends_well=False
    ),
    "bad declaration": Trap(
        {"1_a.up.sql": "-- coordinator: phase=explode\n" + A},
        "bad-phase",
        ends_well=True,
        tables=frozenset("a"),
        ledger=((1, False),),
    ),
}
POSTGRESQL_TRAPS: dict[str, Trap] = {
    "byte order mark": Trap(
        {"1_a.up.sql": b"\xef\xbb\xbf" + A.encode()},
        "migration-encoding",
        ends_well=False,
        ledger=((1, True),),
    ),
    "nul byte": Trap(
        {"1_a.up.sql": A + "\0" + FAILS},
        "migration-encoding",
        ends_well=False,
        ledger=((1, True),),
    ),
    "copy from stdin": Trap(
        {"1_a.up.sql": A + "COPY a FROM stdin;\n1\n\\.\n"},
        "copy-from-stdin",
        ends_well=False,
        ledger=((1, True),),
    ),
    "vacuum in a transaction of the file's own": Trap(
        {"1_a.up.sql": "BEGIN;\n" + A + "VACUUM a;\nCOMMIT;\n"},
        "statement-refuses-transaction",
        ends_well=False,
        ledger=((1, True),),
    ),
}
SQLITE_TRAPS: dict[str, Trap] = {
    "not utf-8": Trap(
        {"1_a.up.sql": b"-- gr\xf6\xdfe\n" + A.encode()},
        "migration-encoding",
        ends_well=True,
        tables=frozenset("a"),
        ledger=((1, False),),
    ),
    "lone carriage returns": Trap(
        {"1_a.up.sql": "-- about a\r" + A},
        "migration-encoding",
        ends_well=True,
        ledger=((1, False),),
    ),
}
