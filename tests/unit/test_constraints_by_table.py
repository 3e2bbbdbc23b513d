"""What a schema's constraints decide of a query is found by the query's tables, and once."""

from __future__ import annotations

import pytest

from coordinator.rehearsal_ports import Ran
from coordinator.rehearse import following
from coordinator.rehearse.by_table import ByTable
from coordinator.rehearse.schema import Schema
from coordinator.rehearse.unmet import unmet

CATALOGUE = {
    "table public.shop": "table",
    "column public.shop.id": "integer not null",
    "table public.sale": "table",
    "column public.sale.id": "integer not null",
    "column public.sale.shop": "integer",
    "constraint public.shop.shop_pkey": "PRIMARY KEY (id)",
    "constraint public.sale.sale_shop": "FOREIGN KEY (shop) REFERENCES public.shop(id) ON DELETE SET NULL",
    "constraint public.sale.sale_check": "CHECK ((shop > 0))",
}
GONE = Ran((), 1, written=Ran((), 1, table="shop"))
QUERIES = ("DELETE FROM shop WHERE id = $1", "DELETE FROM shop WHERE id < $1")


def test_things_of_tables_come_in_the_order_in_which_they_were_given():
    things = ByTable([("sale", "first"), ("shop", "second"), ("sale", "third")])

    assert things.of(["shop", "sale", "shop"]) == ["first", "second", "third"]
    assert things.of({"sale"}) == ["first", "third"]
    assert things.of(["unknown"]) == []


def test_a_check_that_a_foreign_keys_action_meets_is_found():
    before = {key: text for key, text in CATALOGUE.items() if not key.endswith("sale_check")}

    why = unmet(QUERIES[0], own=(Schema.of(before), GONE), here=(Schema.of(CATALOGUE), GONE))

    assert why is not None
    assert "`CHECK ((shop > 0))`, which `sale` has here" in why


def test_a_check_that_another_table_has_word_for_word_is_one_of_its_own():
    text = (
        "WITH a AS (INSERT INTO sale (id, shop) VALUES ($1, $2)) INSERT INTO shop (id, shop) VALUES ($1, $2)"
    )
    ran = Ran((), 1, written=Ran((), 1, table="shop"))
    own = Schema.of({**CATALOGUE, "column public.shop.shop": "integer"})
    renamed = {key.replace(".shop", ".shops", 1): each for key, each in CATALOGUE.items()}

    for name in ("aaa", "shop_check", "zzz"):
        here = Schema.of({**CATALOGUE, f"constraint public.shop.{name}": "CHECK ((shop > 0))"})
        why = unmet(text, own=(own, ran), here=(here, ran))
        assert why is not None
        assert "which `shop` has here" in why

    of_view = {**renamed, "view public.shop": "SELECT id, shop FROM public.shops"}
    moved = Schema.of({**of_view, "constraint public.shops.shop_check": "CHECK ((shop > 0))"})
    both = Schema.of({**CATALOGUE, "constraint public.shop.shop_check": "CHECK ((shop > 0))"})
    assert unmet(text, own=(both, ran), here=(moved, ran)) is None
    assert unmet(text, own=(moved, ran), here=(both, ran)) is None


def test_a_partition_that_another_table_has_word_for_word_takes_no_rows_of_the_one_that_lost_it():
    text = "WITH a AS (INSERT INTO sale (id) VALUES ($1)) INSERT INTO shop (id) VALUES ($2)"
    ran = Ran((), 1, written=Ran((), 1, table="shop"))
    of_sale = {
        "partition public.sale public.sale_low": "FOR VALUES FROM (0) TO (9)",
        "partition public.sale public.sale_rest": "DEFAULT",
    }
    of_shop = {
        "partition public.shop public.shop_low": "FOR VALUES FROM (0) TO (9)",
        "partition public.shop public.shop_high": "FOR VALUES FROM (9) TO (99)",
    }
    own = Schema.of({**CATALOGUE, **of_sale, **of_shop})
    here = Schema.of({**CATALOGUE, **of_sale, **dict([of_shop.popitem()])})

    why = unmet(text, own=(own, ran), here=(here, ran))

    assert why is not None
    assert "partition `FOR VALUES FROM (0) TO (9)`" in why
    assert unmet(text, own=(own, ran), here=(own, ran)) is None


def test_a_unique_of_another_table_implies_nothing():
    text = (
        "WITH a AS (INSERT INTO sale (id, shop) VALUES ($1, $2)) INSERT INTO shop (id, shop) VALUES ($1, $2)"
    )
    ran = Ran((), 1, written=Ran((), 1, table="shop"))
    of_sale = {**CATALOGUE, "constraint public.sale.one": "UNIQUE (shop)"}
    of_both = {**of_sale, "constraint public.shop.one": "UNIQUE (shop, id)"}
    keyless = {key: each for key, each in of_both.items() if not key.endswith("shop_pkey")}
    before = {key: each for key, each in of_sale.items() if not key.endswith("shop_pkey")}

    why = unmet(text, own=(Schema.of(before), ran), here=(Schema.of(keyless), ran))

    assert why is not None
    assert "`UNIQUE (shop, id)`, which `shop` has here" in why


def test_a_trigger_that_another_table_has_word_for_word_is_one_of_its_own():
    lowers = "CREATE FUNCTION public.lowers() RETURNS trigger AS $$ BEGIN NEW.name := lower(NEW.name); END $$"

    def trigger_of(table: str) -> dict[str, str]:
        text = f"BEFORE INSERT ON public.{table} FOR EACH ROW EXECUTE FUNCTION public.lowers()"
        return {f"trigger public.{table}.lower_{table}": f"CREATE TRIGGER lower_{table} {text}"}

    ran = Ran((), 1, written=Ran((), 1, table="shop"))
    text = "INSERT INTO shop (name) VALUES ($1)"
    functions = {"function public.lowers()": lowers}

    for others in ({}, trigger_of("sale"), {**trigger_of("a"), **trigger_of("sale"), **trigger_of("z")}):
        before = {**CATALOGUE, "column public.shop.name": "text", **functions, **others}
        own = Schema.of(before)
        for catalogue in ({**before, **trigger_of("shop")}, {**trigger_of("shop"), **before}):
            here = Schema.of(catalogue)
            for before_it, behind_it in ((own, here), (here, own)):
                why = unmet(text, own=(before_it, ran), here=(behind_it, ran))
                assert why is not None, others
                assert "a trigger gives `shop.name` a value" in why


def test_what_a_schema_alone_decides_is_found_out_once(monkeypatch: pytest.MonkeyPatch):
    looked_at: list[object] = []
    meeting = following._meeting
    monkeypatch.setattr(
        following, "_meeting", lambda each, changed: (looked_at.append(each), meeting(each, changed))[1]
    )
    here = Schema.of(CATALOGUE)

    for text in QUERIES:
        assert unmet(text, own=(here, GONE), here=(here, GONE)) is None

    assert len(looked_at) == len(here.constraints)
