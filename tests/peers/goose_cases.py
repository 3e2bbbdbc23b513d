"""Files of odd forms for goose, and what is expected of each.

The rows follow docs/reference/migration-tools.md. A plain row says: the hook ends as the real goose does and
leaves the same behind. A `Trap` says that the hook refuses, and what the real goose does instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from peers.real_tools import Files

UP = "-- +goose Up\n"
DOWN = "-- +goose Down\n"
BEGIN = "-- +goose StatementBegin\n"
END = "-- +goose StatementEnd\n"
NO_TX = "-- +goose NO TRANSACTION\n"
A = "CREATE TABLE a (x integer);\n"
B = "CREATE TABLE b (x integer);\n"
C = "CREATE TABLE c (x integer);\n"
FUNCTION = (
    "CREATE FUNCTION f() RETURNS integer AS $$\nBEGIN\n  PERFORM 1;\n  RETURN 1;\nEND;\n"
    "$$ LANGUAGE plpgsql;\n"
)
TRIGGER = (
    "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  INSERT INTO b VALUES (new.x);\n  DELETE FROM b;\nEND;\n"
)


@dataclass(frozen=True)
class Trap:
    """A file that the hook refuses with `code`; the real goose ends well or not and leaves `tables`."""

    content: str | bytes
    code: str
    ends_well: bool | None
    """None: it hangs and has to be killed."""
    tables: frozenset[str] = frozenset()


# One file, 00001_case.sql, on both engines.
FILES: dict[str, str | bytes] = {
    "one statement": UP + A,
    "up and down": UP + A + DOWN + "DROP TABLE a;\n",
    "empty file": "",
    "blank lines only": "\n\n  \n",
    "comments only": "-- nothing\n-- here\n",
    "up without statements": UP,
    "up with comments only": UP + "-- nothing\n",
    "up and down without statements": UP + DOWN,
    "down is an empty block": UP + A + DOWN + BEGIN + END,
    "down is a block of comments": UP + A + DOWN + BEGIN + "-- nothing\n" + END + "\n-- the end\n",
    "down ends with an empty block": UP + A + DOWN + "DROP TABLE a;\n" + BEGIN + "\n" + END + "\n",
    "up ends with an empty block": UP + A + BEGIN + END + "\n" + DOWN + "DROP TABLE a;\n",
    "an empty block before another": UP + BEGIN + END + BEGIN + A + END + B,
    "up is an empty block": UP + BEGIN + "-- nothing\n" + END + DOWN + BEGIN + END,
    "down that does not end": UP + A + DOWN + "DROP TABLE a\nDROP TABLE b\n",
    "down whose block does not end": UP + A + DOWN + BEGIN + "DROP TABLE a;\n",
    "down only": DOWN + "DROP TABLE a;\n",
    "down before up": DOWN + "DROP TABLE a;\n" + UP + A,
    "up twice": UP + A + UP + B,
    "down twice": UP + A + DOWN + "DROP TABLE a;\n" + DOWN,
    "annotation in lower case": "-- +goose up\n" + A,
    "annotation in capitals": "-- +goose UP\n" + A,
    "annotation without a blank": "--+goose Up\n" + A,
    "annotation with many dashes": "---- +goose Up ----\n" + A,
    "annotation with tabs": "--\t+goose\tUp\t\n" + A,
    "annotation with text before it": "-- see +goose Up\n" + A,
    "annotation with a leading blank": " " + UP + A,
    "annotation with a leading tab": "\t" + UP + A,
    "annotation with a leading form feed": "\f" + UP + A,
    "annotation with a semicolon": "-- +goose Up;\n" + A,
    "annotation with a note": "-- +goose Up -- note\n" + A,
    "annotation with an underscore": UP + "-- +goose NO_TRANSACTION\n" + A,
    "annotation with two blanks": UP + "-- +goose NO  TRANSACTION\n" + A,
    "annotation twice on a line": "-- +goose Up +goose Up\n" + A,
    "annotation that is empty": UP + "-- +goose\n" + A,
    "annotation that is unknown": UP + "-- +goose Sideways\n" + A,
    "comment that mentions goose": UP + "-- see the +goose manual\n" + A,
    "comment after code that mentions goose": UP + "CREATE TABLE a (x integer); -- +goose\n",
    "sql before up": A + UP + B,
    "comment before up": "-- hello\n\n" + UP + A,
    "blank line of spaces before up": "   \n" + UP + A,
    "missing last semicolon": UP + "CREATE TABLE a (x integer)\n",
    "missing last semicolon in up before down": UP + "CREATE TABLE a (x integer)\n" + DOWN,
    "missing last newline": UP + "CREATE TABLE a (x integer);",
    "two statements on one line": UP + "CREATE TABLE a (x integer); CREATE TABLE b (x integer);\n",
    "statement over lines": UP + "CREATE TABLE a (\n  x integer,\n\n  y integer -- last; one\n);\n",
    "semicolon before a comment": UP + "CREATE TABLE a (x integer); -- the; end;\n" + B,
    "semicolon glued to a comment": UP + "CREATE TABLE a (x integer);-- glued\n" + B,
    "semicolon before a block comment": UP
    + "CREATE TABLE a (x integer); /* c */\nCREATE TABLE b (x integer);\n",
    "semicolon after a lone dash word": UP + "CREATE TABLE a (x integer) --;\n;\n" + B,
    "semicolon within a comment line": UP + "CREATE TABLE a (x integer)\n-- ;\n;\n",
    "semicolon alone": UP + A + ";\n" + B,
    "semicolon at a line end in a string": UP + A + "INSERT INTO a VALUES (length('x;\ny'));\n",
    "semicolon at a line end in a block comment": UP + "/* one;\ntwo */\n" + A,
    "block comment only": UP + "/* nothing */\n",
    "block comment before a statement": UP + "/* about a */\n" + A,
    "comment kept inside a statement": UP + "CREATE TABLE a (\n-- a comment\nx integer);\n",
    "comment line between statements": UP + A + "-- about b\n\n" + B,
    "blank line of spaces then a comment": UP + A + "   \n-- kept\n" + B,
    "blanks at the end only": UP + A + "   \n\t\n",
    "blanks at the end of up and a comment in down": UP + A + "  \n" + DOWN + "-- nothing\n",
    "crlf line ends": (UP + "CREATE TABLE a (\nx integer);\n" + B).replace("\n", "\r\n"),
    "percent signs": UP + A + "INSERT INTO a SELECT 7 % 4;\nINSERT INTO a SELECT length('%s %(x)s %%');\n",
    "question marks and colons in a string": UP + A + "INSERT INTO a SELECT length('? :x $1');\n",
    "letters beyond ascii": UP + 'CREATE TABLE "größe" (x integer);\n' + "-- naïve\n",
    "block with one statement": UP + BEGIN + A + END,
    "block without a semicolon": UP + BEGIN + "CREATE TABLE a (x integer)\n" + END,
    "block with two statements": UP + BEGIN + A + B + END,
    "block in lower case": UP + "-- +goose statementbegin\n" + A + "-- +goose statementend\n",
    "block begins with a comment": UP + BEGIN + "-- about a\n" + A + END + B,
    "block begins in a statement": UP + "CREATE TABLE a (\n" + BEGIN + "x integer);\n" + END + B,
    "blocks nested": UP + BEGIN + BEGIN + A + END + END,
    "block never ended": UP + BEGIN + A,
    "block never begun": UP + A + END,
    "block before up": BEGIN + A + END,
    "block over down": UP + BEGIN + A + DOWN + END,
    "block in down": UP + A + DOWN + BEGIN + "DROP TABLE a;\n" + END,
    "block then another": UP + BEGIN + A + END + "\n\n" + BEGIN + B + END + C,
    "no transaction": UP + NO_TX + A + B,
    "no transaction before up": NO_TX + UP + A,
    "no transaction in down": UP + A + DOWN + NO_TX + "DROP TABLE a;\n",
    "no transaction in lower case": "-- +goose no transaction\n" + UP + A,
    "no transaction that fails half-way": NO_TX + UP + A + "SELECT nothing_of_this_name;\n" + B,
    "transaction that fails half-way": UP + A + "SELECT nothing_of_this_name;\n" + B,
    "statement that fails first": UP + "SELEC 1;\n" + A,
    "envsub without variables": UP + "-- +goose ENVSUB ON\n" + A + "-- +goose ENVSUB OFF\n",
    "envsub off again before a dollar": UP
    + "-- +goose ENVSUB ON\n-- +goose ENVSUB OFF\n"
    + A
    + "INSERT INTO a SELECT length('$HOME');\n",
    "declared phase": "-- coordinator: phase=expand\n" + UP + A,
    "down annotation in a string": UP + "INSERT INTO a VALUES ('\n" + DOWN + "');\n",
    "a long line": UP + "CREATE TABLE a (x integer);" + " " * 4_000_000 + "\n" + B,
    "a line of just under 4 MiB": UP + "--" + "x" * (4 * 1024 * 1024 - 3) + "\n" + A,
    "a last line of just under 4 MiB": UP + A + "--" + "x" * (4 * 1024 * 1024 - 3),
    "a line of 4 MiB": UP + "--" + "x" * (4 * 1024 * 1024 - 2) + "\n" + A,
    "a last line of 4 MiB": UP + A + "--" + "x" * (4 * 1024 * 1024 - 2),
}

POSTGRESQL_FILES: dict[str, str] = {
    "function in a block": UP + BEGIN + FUNCTION + END + A,
    "function without a block": UP + FUNCTION + A,
    "function on one line": UP + "CREATE FUNCTION f() RETURNS integer AS $$ SELECT 1; $$ LANGUAGE sql;\n",
    "do block on one line": UP + "DO $$ BEGIN CREATE TABLE a (x integer); END $$;\n",
    "index concurrently alone": NO_TX + UP + "CREATE INDEX CONCURRENTLY i ON pg_temp_is_absent (x);\n",
    "two indexes concurrently": NO_TX
    + UP
    + A
    + "CREATE INDEX CONCURRENTLY i ON a (x);\nCREATE UNIQUE INDEX CONCURRENTLY j ON a (x);\n",
    "own transaction without the tool's": NO_TX + UP + "BEGIN;\n" + A + "COMMIT;\n",
    "savepoint": UP + "SAVEPOINT s;\n" + A + "ROLLBACK TO SAVEPOINT s;\n" + B + "RELEASE s;\n",
    "escape string": UP + A + "INSERT INTO a SELECT length(E'it\\'s; ');\n",
    "settings for the session": UP + "SET statement_timeout = '1min';\n" + A,
    "transaction level": UP + "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\n" + A,
    "psql command": UP + "\\set x 1\n" + A,
    "enum value": UP + "CREATE TYPE e AS ENUM ('a');\nALTER TYPE e ADD VALUE 'b';\n",
    "deferred constraint that fails at commit": UP
    + "CREATE TABLE a (x integer UNIQUE DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO a VALUES (1), (1);\n",
}

SQLITE_FILES: dict[str, str] = {
    "trigger in a block": UP + A + B + BEGIN + TRIGGER + END,
    "trigger without a block": UP + A + B + TRIGGER,
    "trigger and more in a block": UP + BEGIN + A + B + TRIGGER + C + END,
    "quoted with brackets": UP + "CREATE TABLE [it's] (x integer);\n" + A,
    "quoted with backticks": UP + "CREATE TABLE `a;b` (x integer);\n",
    "unknown function": UP + "SELECT nothing(1);\n",
}

_ENVSUB = "-- +goose ENVSUB ON\n"
_LOST = UP + BEGIN + END + A + B
TRAPS: dict[str, Trap] = {
    "empty block": Trap(_LOST, "goose-empty-block", ends_well=True, tables=frozenset({"b"})),
    "block of comments": Trap(
        UP + BEGIN + "-- nothing\n" + END + A + B,
        "goose-empty-block",
        ends_well=True,
        tables=frozenset({"b"}),
    ),
    "empty block before a switch": Trap(
        UP + BEGIN + END + NO_TX + A + B, "goose-empty-block", ends_well=True, tables=frozenset({"b"})
    ),
    "block of spaces": Trap(
        UP + BEGIN + "  \n" + END + A, "goose-empty-block", ends_well=True, tables=frozenset("a")
    ),
    "envsub": Trap(
        UP + _ENVSUB + "CREATE TABLE ${COORDINATOR_TEST_WORD} (x integer);\n",
        "goose-envsub",
        ends_well=True,
        tables=frozenset({"from_environment"}),
    ),
    "lone carriage return hides a statement": Trap(
        UP + "-- about a\r" + A + B, "migration-encoding", ends_well=True, tables=frozenset("b")
    ),
    "carriage returns only": Trap((UP + A).replace("\n", "\r"), "migration-encoding", ends_well=False),
    "byte order mark": Trap(b"\xef\xbb\xbf" + (UP + A).encode(), "migration-encoding", ends_well=False),
    "not utf-8 in a comment": Trap(
        (UP + "-- gr\xf6\xdfe\n" + A).encode("latin-1"),
        "migration-encoding",
        ends_well=True,
        tables=frozenset("a"),
    ),
    "bad declaration": Trap(
        "-- coordinator: phase=explode\n" + UP + A, "bad-phase", ends_well=True, tables=frozenset("a")
    ),
}
POSTGRESQL_TRAPS: dict[str, Trap] = {
    "commit inside": Trap(
        UP + A + "COMMIT;\nSELECT nothing_of_this_name;\n",
        "transaction-control",
        ends_well=False,
        tables=frozenset("a"),
    ),
    "index concurrently in a transaction": Trap(
        UP + A + "CREATE INDEX CONCURRENTLY i ON a (x);\n", "statement-refuses-transaction", ends_well=False
    ),
    "vacuum in a block with another": Trap(
        NO_TX + UP + A + BEGIN + "SELECT 1;\nVACUUM a;\n" + END,
        "statement-refuses-transaction",
        ends_well=False,
        tables=frozenset("a"),
    ),
    "copy from stdin last": Trap(UP + A + "COPY a FROM stdin;\n", "copy-from-stdin", ends_well=None),
    "copy from stdin with rows": Trap(
        UP + A + "COPY a FROM stdin;\n1\n\\.\n" + ";\n", "copy-from-stdin", ends_well=None
    ),
    "envsub halves dollar quotes": Trap(
        UP + _ENVSUB + "DO $$ BEGIN PERFORM 1; END $$;\n", "goose-envsub", ends_well=False
    ),
}
SQLITE_TRAPS: dict[str, Trap] = {
    "vacuum in a block with another": Trap(
        NO_TX + UP + A + BEGIN + "SELECT 1;\nVACUUM;\n" + END,
        "statement-refuses-transaction",
        ends_well=True,
        tables=frozenset("a"),
    ),
}

# A folder, on SQLite; the value is its files and whether `up` is expected to apply everything.
FOLDERS: dict[str, Files] = {
    "numeric order": {f"{n}_x.sql": UP + f"CREATE TABLE t{n} (x integer);\n" for n in (1, 2, 10)},
    "leading zeros": {"0002_b.sql": UP + B, "1_a.sql": UP + A},
    "plus sign": {"+1_a.sql": UP + A},
    "empty title": {"1_.sql": UP + A},
    "dotfile is read": {".sql": UP + A},
    "dotfile with a version": {".1_a.sql": UP + A},
    "version zero": {"0_a.sql": UP + A},
    "negative version": {"-1_a.sql": UP + A},
    "letters in the version": {"1a_a.sql": UP + A},
    "underscore in the version": {"1_0_a.sql": UP + A},
    "no underscore": {"1.sql": UP + A},
    "digits that are not ascii": {"\u0661_a.sql": UP + A},
    "largest version": {f"{2**63 - 1}_a.sql": UP + A},
    "version too large": {f"{2**63}_a.sql": UP + A},
    "extension in capitals": {"1_a.sql": UP + A, "2_b.SQL": UP + B},
    "other extensions": {"1_a.sql": UP + A, "2_b.sql.bak": UP + B, "README.md": "hello"},
    "go test file": {"1_a.sql": UP + A, "2_b_test.go": "package x"},
    "go file without a version": {"1_a.sql": UP + A, "main.go": "package x"},
    "timestamps": {"20240101000000_a.sql": UP + A, "20230101000000_b.sql": UP + B},
    "query files beside": {"1_a.sql": UP + A, "queries.sql": "SELECT 1;"},
}
