"""Constraints, triggers that may refuse and foreign keys' actions, as a schema's catalogue writes them. Pure.

The catalogue is what RehearsalDatabase.catalogue returns, of any engine. It is read by words: a word too many
costs a proof and no truth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

Key = tuple[str, str]
"""A column, or what computes it; and the collation that says which values are alike, if one is named."""
Done = tuple[str, str]
"""`update` or `delete`, and the table to whose rows it is done."""
SQLITE: Final = "main."
"""What SQLite's tables have before their names; it has no other schema."""
ANY: Final = frozenset({"*"})
"""In the place of words: it may be about any column; in the place of events: whatever the text does."""
NEW_ROWS: Final = frozenset({"insert", "update"})
_TAG = re.compile(r"\$(?:[^\W\d]\w*)?\$")
"""What stands around a function's body on PostgreSQL."""
_WORD = re.compile(r"[^\W\d][\w$]*")
_RULE = re.compile(
    r"(?P<unique>(?:CREATE |a )?UNIQUE (?:INDEX )?|PRIMARY KEY |EXCLUDE )|CHECK |FOREIGN KEY ", re.IGNORECASE
)
FOREIGN_KEY = re.compile(r"FOREIGN KEY \((?P<columns>[^)]*)\)", re.IGNORECASE)
"""What is kept of one: what it refers to may be renamed, and what it does to other rows is seen there."""
_KEYS = re.compile(r"[^(]*\((?P<keys>[\w$\s,\"`]+)\)")
_KEY = re.compile(r"([^\W\d][\w$]*)[\"`]?(?: COLLATE [\"`]?(\w+))?", re.IGNORECASE)
_NO_PAD = re.compile(r"_0900_|_nopad_|^binary$")
"""Collations of MySQL and MariaDB to which blanks at the end make another text."""
_GENERATED = re.compile(
    r"\bgenerated always as (?!identity)(?P<one>.*) (?:stored|virtual)\b"
    r"|\bas (?P<other>\(.*\)) (?:stored|virtual|persistent) generated\b",
    re.IGNORECASE | re.DOTALL,
)
"""The second is how MySQL's and MariaDB's catalogue has it."""
_NOT_VALID = re.compile(r" NOT VALID$")
_INDEX = re.compile(r"INDEX .*? ON (?:ONLY )?(?:[^\s(]+)(?: USING \w+)?", re.IGNORECASE | re.DOTALL)
TRIGGER = re.compile(
    r"(?:CREATE .*?TRIGGER (?:IF NOT EXISTS )?\S+ )?(?P<when>.*?)(?: ON \S+| \d+)(?= )",
    re.IGNORECASE | re.DOTALL,
)
"""What comes before a trigger's own text; MySQL and MariaDB say when it runs, and a number."""
_RULE_INSTEAD = re.compile(r"CREATE RULE \S+ AS\s+ON (?P<when>\w+) TO \S+(?=.*\bDO INSTEAD\b)", re.DOTALL)
_HEADS = {"trigger": TRIGGER, "rule": _RULE_INSTEAD}
_MAY_REFUSE = re.compile(
    r"\bRAISE\b(?!\s+(?:DEBUG|LOG|INFO|NOTICE|WARNING)\b)|\bASSERT\b|\bSIGNAL\b|BEFORE .*\bRETURN\s+NULL\b",
    re.IGNORECASE | re.DOTALL,
)
_OLD = re.compile(r"\bRETURN\s+OLD\b", re.IGNORECASE)
_MAY_LEAVE_OUT = re.compile(r"INSTEAD OF .*\b(?:IF|CASE|WHEN|CONFLICT)\b", re.IGNORECASE | re.DOTALL)
"""A trigger that does something in the place of a write, and not the same for each row."""
_CHECK_OPTION = re.compile(r"check_option=|with check option (?:cascaded|local)", re.IGNORECASE)
_PARTITIONED = re.compile(r"table partitioned by (?P<key>(?:RANGE|LIST) \(.*\))")
"""Each row of HASH has a partition."""
_VALUES: Final = " values "
"""Between what MySQL and MariaDB part rows by and those of one partition."""
_NUMBER = re.compile(r"-?\d+")
_DATE = re.compile(r"'\d{4}-\d\d-\d\d(?: 00:00:00)?'")
_BITS = {
    "tinyint": 7,
    "smallint": 15,
    "mediumint": 23,
    "integer": 31,
    "int": 31,
    "bigint": 63,
}
_SIZE = r"(?:\((?P<size>\d+)(?:,(?P<scale>\d+))?\))?"
_SIZED = re.compile(
    rf"(?:(?P<whole>smallint|integer|bigint)|numeric|(?P<text>text|character(?: varying)?))(?![^ (]){_SIZE}"
    r"(?P<unsigned>(?!))?(?! *\[)"
)
_SIZED_IN_MYSQL = re.compile(
    r"(?:(?P<whole>tinyint|smallint|mediumint|int|bigint)(?:\(\d+\))?|decimal|(?P<text>varchar|char|\w*text))"
    rf"{_SIZE}(?P<unsigned> unsigned)?"
)
PARENT = re.compile(r"REFERENCES (?P<parent>[^\s(]+)\s*\((?P<keys>[^)]*)\)", re.IGNORECASE)
_ACTION = re.compile(r"ON (?P<event>DELETE|UPDATE) (?P<does>CASCADE|SET NULL|SET DEFAULT)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Constraint:
    """What the rows of a table have to meet; without its name, which says nothing."""

    table: str
    """Its name without a schema; at another state it may have another one."""
    text: str
    is_unique: bool
    keys: frozenset[Key] | None = field(compare=False)
    """Of a UNIQUE of plain columns, which ones."""
    words: frozenset[str] = field(compare=False)
    """The words of its definition, and of what its generated columns are made of: columns are among them."""
    events: frozenset[str] = field(compare=False, default=NEW_ROWS)
    """What has to be done to a row for it to be met."""
    is_trigger: bool = field(compare=False, default=False)

    @property
    def key_columns(self) -> frozenset[str]:
        """Of a UNIQUE of plain columns, their names; none of anything else."""
        return frozenset(column for column, _ in self.keys or ())


@dataclass(frozen=True, slots=True)
class Follower:
    """What a foreign key's action does to its table's rows, where rows of the parent go or change."""

    of_parent: Done
    of_child: Done
    keys: frozenset[str]
    """The parent's columns that it refers to."""
    columns: frozenset[str]
    """Its own columns, which an action that does not delete writes."""
    sets_default: bool


@dataclass(frozen=True, slots=True)
class Read:
    """A schema's catalogue, with what each reader of it asks for."""

    things: Mapping[str, str]
    tables: frozenset[str]
    functions: Mapping[str, Sequence[str]]
    """By name, without schema, the definitions of the functions and procedures of that name."""

    @classmethod
    def of(cls, catalogue: Mapping[str, str]) -> Read:
        """Read it; see rehearsal_ports.RehearsalDatabase.catalogue."""
        tables = frozenset(key.partition(" ")[2] for key in catalogue if key.startswith("table "))
        return cls(catalogue, tables, _functions_of(catalogue))

    def table_of(self, name: str, definition: str) -> str:
        """Return the table of a constraint or index; PostgreSQL's indexes stand beside their tables."""
        end = len(name)
        while (end := name.rfind(".", 0, end)) >= 0:  # a table's own name may have dots
            if name[:end] in self.tables:
                return name[:end]
        on = re.search(r" ON (?:ONLY )?(\S+)", definition)
        return on[1] if on else name


def constraints(read: Read) -> Iterator[Constraint]:
    """Yield those that a table declares."""
    computed = {
        key.replace('"', "").lower(): expression
        for key, text in read.things.items()
        if key.startswith("column ") and (expression := expression_of(text)) is not None
    }
    for key, definition in read.things.items():
        kind, _, name = key.partition(" ")
        if kind not in ("constraint", "index"):
            continue
        # SQLite has no names for these: the key says which columns they are of.
        shown = name.partition(".unique ")[2] if definition == "unique" else ""
        text = _NOT_VALID.sub("", f"UNIQUE {shown}" if shown else definition)
        refers = FOREIGN_KEY.search(f"{name} {text}")
        text = refers[0] if refers else text
        rule = _RULE.match(text)
        if rule is None:
            continue
        text = _INDEX.sub("INDEX", text)
        keys = _KEYS.match(text) if rule["unique"] else None
        words = words_of(text[rule.end() :])
        table = read.table_of(name, definition)
        start = f"column {table}.".replace('"', "").lower()
        made_of = {each: computed[start + each] for each in sorted(words) if start + each in computed}
        yield Constraint(
            bare(table),
            " ".join([text, *called(text, read.functions), *made_of.values()]),
            is_unique=rule["unique"] is not None,
            keys=frozenset(
                (made_of.get(each[1].lower(), each[1].lower()), (each[2] or "").lower())
                for each in _KEY.finditer(keys["keys"])
            )
            if keys
            else None,
            words=words.union(*map(words_of, made_of.values())),
        )


def expression_of(definition: str) -> str | None:
    """Return what computes a column, by its definition; None of one that is not generated."""
    found = _GENERATED.search(definition)
    return found and (found["one"] or found["other"])


def partitionings(read: Read) -> Iterator[Constraint]:
    """Yield what refuses rows of partitioned tables that have no partition for the rest."""
    with_rest = {key.split(" ")[1] for key, text in read.things.items() if _is_for_rest(key, text)}
    for key, definition in read.things.items():
        kind, _, name = key.partition(" ")
        found = _PARTITIONED.match(definition) if kind == "table" else None
        if found and name not in with_rest:
            words = words_of(found["key"])
            yield asking(name, f"PARTITION BY {found['key']}", words)
    of_mysql = set(bounds(read))
    for table, key in {(table, text.partition(_VALUES)[0]) for table, text in of_mysql if _VALUES in text}:
        if (table, "DEFAULT") not in of_mysql:
            yield asking(table, f"PARTITION BY {key}", words_of(key))


def _is_for_rest(key: str, definition: str) -> bool:
    return key.startswith("partition ") and definition.startswith("DEFAULT")


def of_domains(read: Read) -> Iterator[Constraint]:
    """Yield the checks of the domains that columns are of."""
    domains = _domains(read)
    for key, definition in read.things.items() if domains else ():
        kind, _, name = key.partition(" ")
        of = definition.partition(" ")[0].removesuffix("[]") if kind == "column" else ""
        for text in domains.get(of, ()):
            yield asking(read.table_of(name, definition), text, frozenset({bare(name)}))


def asking(table: str, text: str, words: frozenset[str]) -> Constraint:
    """Return what each new row of a table has to meet by itself."""
    return Constraint(bare(table), text, is_unique=False, keys=None, words=words)


def domain_checks(read: Read) -> Mapping[str, frozenset[str]]:
    """Return by a domain's name, without schema, what its values have to meet."""
    return {bare(name): checks for name, checks in _domains(read).items()}


def _domains(read: Read) -> Mapping[str, frozenset[str]]:
    """Return the checks of each domain, with those of the domains that it is made of."""
    domains = {key.partition(" ")[2]: text for key, text in read.things.items() if key.startswith("domain ")}
    checks = [
        (key, _NOT_VALID.sub("", text))
        for key, text in read.things.items()
        if domains and key.startswith("constraint ")
    ]
    found = {}
    for name in domains:
        of, texts = name, []
        while of in domains:
            texts += [f"{text} of {of}" for key, text in checks if key.startswith(f"constraint {of}.")]
            of = domains[of].partition(" ")[0]
        found[name] = frozenset(texts)
    return found


Room = tuple[str, float, float]
"""What a column has place for: `number` from … to, or `text` of a length."""


def columns_of(read: Read) -> Iterator[tuple[tuple[str, str], Room | None]]:
    """Yield each table's and view's columns, with what they have place for where their type limits it.

    SQLite limits nothing, and has all its tables in `main`.
    """
    for key, definition in read.things.items():
        if key.startswith("column "):
            table, _, column = key.rpartition(".")
            sized = _SIZED if "." in table else _SIZED_IN_MYSQL
            is_limited = not table.startswith("column main.")
            yield (bare(table), bare(column)), _room(sized.match(definition)) if is_limited else None


def _room(sized: re.Match[str] | None) -> Room | None:
    if sized is None:
        return None
    size = float(sized["size"] or "inf")
    if sized["text"]:
        return "text", 0, size
    most = 2.0 ** _BITS[sized["whole"]] if sized["whole"] else 10.0 ** (size - int(sized["scale"] or 0))
    return ("number", 0, 2 * most) if sized["unsigned"] else ("number", -most, most)


def is_narrower(room: Room | None, before: Room | None) -> bool:
    """Tell whether a column has no place for all values that it had place for."""
    if room is None or before is None or room[0] != before[0]:
        return False
    return room[1] > before[1] or room[2] < before[2]


def bounds(read: Read) -> Iterator[tuple[str, str]]:
    """Yield the tables that have partitions, each with the bounds of one."""
    for key, definition in read.things.items():
        if key.startswith("partition "):
            yield bare(key.split(" ")[1]), definition.partition(" check (")[0]
        elif key.startswith("bounds "):  # MySQL's and MariaDB's partitions are no tables
            yield bare(key.rpartition(".")[0]), definition


def comes_into(bound: str, left: Iterable[str]) -> bool:
    """Tell whether what a partition had room for has some in one that is left: in the next higher range.

    MySQL's and MariaDB's ranges have an upper end alone; PostgreSQL's leave a hole.
    """
    of, _, value = bound.partition(_VALUES)
    pairs = [each.partition(_VALUES) for each in left]
    return of.startswith("range") and any(
        other == of and _is_larger(higher, than=value) for other, _, higher in pairs
    )


def _is_larger(value: str, *, than: str) -> bool:
    """Compare numbers, and dates that are written alike; of others nothing is known."""
    if _NUMBER.fullmatch(value) and _NUMBER.fullmatch(than):
        return int(value) > int(than)
    return _DATE.fullmatch(value) is not None and _DATE.fullmatch(than) is not None and value[:11] > than[:11]


def is_as_fine(key: Key, of: Key) -> bool:
    """Tell whether values that are alike by a UNIQUE's key are so by another one's as well."""
    (column, collation), (other, coarser) = key, of
    is_finer = collation.endswith("_bin") and (bool(_NO_PAD.search(collation)) or not _NO_PAD.search(coarser))
    return column == other and (collation == coarser or (is_finer and coarser != ""))


def triggers(read: Read) -> Iterator[Constraint]:
    """Yield those that may refuse a row or leave it out, with what they call; and such rules and views."""
    for key, definition in read.things.items():
        kind, _, name = key.partition(" ")
        if kind == "view" and _CHECK_OPTION.search(definition):
            yield asking(name, definition, ANY)
        head = _HEADS[kind].match(definition) if kind in _HEADS else None
        if head is None:
            continue
        text = f"{kind.upper()} {head['when']}{definition[head.end() :]}"
        text = " ".join([text, *called(text, read.functions)])
        if (
            kind == "rule"
            or may_refuse(text)
            or _MAY_LEAVE_OUT.search(text)
            or _keeps_old(head["when"], text)
        ):
            yield Constraint(
                bare(read.table_of(name, definition)),
                text,
                is_unique=False,
                keys=None,
                words=ANY,
                events=words_of(head["when"]),
                is_trigger=True,
            )


def _keeps_old(when: str, text: str) -> bool:
    """Tell whether a trigger may leave a row as it was; where rows are deleted too, it is how they are."""
    return (
        words_of(when) >= {"before", "update"} and "delete" not in words_of(when) and bool(_OLD.search(text))
    )


def may_refuse(text: str) -> bool:
    """Tell whether what runs for a row, or in a query, may refuse it."""
    return _MAY_REFUSE.search(text) is not None


def _functions_of(catalogue: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for key, definition in catalogue.items():
        if key.startswith(("function ", "procedure ")):
            name = bare(key.partition("(")[0])
            found[name] = (*found.get(name, ()), definition)
    return found


def called(text: str, functions: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the definitions of the functions that a text names, and of those that they name."""
    names: set[str] = set()
    new = words_of(text) & functions.keys()
    while new:
        names |= new
        bodies = " ".join(each for name in new for each in functions[name])
        new = (words_of(bodies) & functions.keys()) - names
    return [each for name in sorted(names) for each in functions[name]]


def followers(read: Read) -> Iterator[Follower]:
    """Yield what each foreign key's action does."""
    for key, definition in read.things.items():
        parent = PARENT.search(definition)
        columns = FOREIGN_KEY.search(f"{key} {definition}")
        if parent is None or columns is None or not key.startswith("constraint "):
            continue
        child = bare(read.table_of(key.partition(" ")[2], definition))
        for action in _ACTION.finditer(definition):
            event, does = action["event"].lower(), action["does"].upper()
            yield Follower(
                (event, bare(parent["parent"])),
                (event if does == "CASCADE" else "update", child),
                words_of(parent["keys"]),
                words_of(columns["columns"]),
                sets_default=does == "SET DEFAULT",
            )


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text in small letters: names, and whatever else is a word there."""
    if "$" in text:  # `…orders$function$`: a name may have one, and that one ends before it
        text = _TAG.sub(" ", text)
    return frozenset(word.lower() for word in _WORD.findall(text))


def bare(name: str) -> str:
    """Return a name in small letters, without its kind, its schema and its quotes."""
    return name.rpartition(" ")[2].rpartition(".")[2].strip('"`').lower()
