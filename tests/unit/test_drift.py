"""What a person is told of a live schema that is not what the files make."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from coordinator.adapters.rehearsals._mysql.catalogue import catalogue
from coordinator.adapters.rehearsals._mysql.schema import Index, Schema, Table
from coordinator.rehearse.drift import differences, matters

FILES = {"table public.users": "table", "column public.users.name": "text", "index public.by_name": "…"}


def test_tells_what_is_missing_what_is_too_much_and_what_is_otherwise():
    live = {"table public.users": "table", "column public.users.name": "integer", "extension hstore": "1.8"}

    assert list(differences(FILES, live)) == [
        "column public.users.name is `integer` in the live database, and the files make it `text`",
        "extension hstore is in the live database and in no file: 1.8",
        "index public.by_name is made by the files and missing in the live database",
    ]


def test_a_table_that_is_missing_or_too_much_is_one_line():
    live = {
        **FILES,
        'table public."old users"': "table",
        'column public."old users".id': "integer",
        "index public.old_key": 'CREATE INDEX old_key ON public."old users" USING btree (id)',
        'privilege public."old users" app': "SELECT",
        "table public.users_of_old": "table",
        "column public.users.note": "text",
    }

    assert list(differences(FILES, live)) == [
        "column public.users.note is in the live database and in no file: text",
        'table public."old users" is in the live database and in no file',
        "table public.users_of_old is in the live database and in no file",
    ]
    assert all("missing in the live database" in line for line in differences(live, FILES))


def test_a_long_definition_is_cut_and_fits_a_line():
    [line] = differences({}, {"function public.f()": f"BEGIN\n  {'x' * 1000}\nEND"})

    assert "\n" not in line
    assert line.endswith("x…")


def test_a_thing_of_which_no_more_is_known_is_not_called_what_it_is_twice():
    assert list(differences({}, {"table public.t": "table"})) == [
        "table public.t is in the live database and in no file"
    ]


def test_many_differences_are_counted():
    told = list(differences({}, {f"table public.t{number:03}": "table" for number in range(60)}))

    assert (len(told), told[-1]) == (51, "and 10 more differences")


def index_of_mysql(*, is_unique: bool) -> Mapping[str, str]:
    """Return what MySQL's catalogue says of an index, as the engine's part here writes it."""
    index = Index("i", ("a",), ("a",), is_unique, "BTREE")
    table = Table("t", "InnoDB", "", (), (), (index,), {}, {}, is_transactional=True)
    written = catalogue(Schema((table,), (), {}, {}, {}, {}))
    return {name: text for name, text in written.items() if name.startswith("index ")}


@pytest.mark.parametrize(
    ("live", "is_noticed"),
    [
        ({"owner public.t": "app"}, False),
        ({"index public.i": "CREATE INDEX i ON public.t USING btree (a)"}, False),
        ({"index public.i": "CREATE UNIQUE INDEX i ON public.t USING btree (a)"}, True),
        (index_of_mysql(is_unique=False), False),
        (index_of_mysql(is_unique=True), True),
        ({"table public.u": "table", "column public.u.id": "integer not null"}, False),
        ({"column public.t.b": "integer not null"}, True),
        ({"constraint public.t.t_b_check": "CHECK ((b > 0))"}, True),
        ({"row security public.t": "enabled"}, True),
    ],
)
def test_a_difference_matters_where_a_query_may_notice_it(live, is_noticed):
    files = {"table public.t": "table", "column public.t.a": "text"}

    assert matters(files, {**files, **live}, asks_privileges=True) is is_noticed


def test_a_table_that_the_live_database_lacks_matters():
    assert matters({"table public.t": "table"}, {}, asks_privileges=False)


def test_a_privilege_matters_where_a_role_is_asked_about():
    privilege = {"privilege public.t app": "SELECT"}

    assert matters({}, privilege, asks_privileges=True)
    assert not matters({}, privilege, asks_privileges=False)
