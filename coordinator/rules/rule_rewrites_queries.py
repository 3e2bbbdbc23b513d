"""A RULE rewrites the queries of every version, the old one's too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.evidence import StatementEvidence
from coordinator.rules import Context, Danger, Rule, added, bare, quoted, schema_of


def _check(statement: StatementEvidence, context: Context) -> Iterator[Danger]:
    for made in added(statement, "rule"):
        table = made.relation or ""
        if not context.is_old(table):
            continue
        function = f"{schema_of(table)}.{quoted(bare(table), bare(made.name))}"
        yield Danger(
            f"The rule {made.name} rewrites queries on {table}.",
            "The versions that run never saw it, and it evaluates expressions more than once.",
            "-- a trigger does its work once for each row; write what the rule does into its body\n"
            f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;\n"
            f"CREATE TRIGGER {made.name} BEFORE INSERT OR UPDATE ON {table}\n"
            f"    FOR EACH ROW EXECUTE FUNCTION {function}();",
        )


RULE: Final[Rule] = Rule(code="rule-rewrites-queries", check=_check)
