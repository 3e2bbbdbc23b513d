"""A file that was edited after its release, as a person meets it on the command line."""

from __future__ import annotations

from fixtures.checkout import EMAIL, USERS, Checkout


def test_plan_tells_of_a_file_that_was_edited_after_its_release(checkout: Checkout):
    checkout.released("1.4")
    checkout.migration(1, "users", USERS.replace("name text", "name varchar(20)"))
    checkout.migration(2, "email", EMAIL)

    ended = checkout.run("plan", "--set", "VERSION=1.5")

    assert ended.exit_code == 0, ended.err
    told = " ".join((ended.out + ended.err).split())
    assert "warning[migration-edited]: `00001_users` was applied with other statements" in told
    assert "Release shop-1.4 applied it at" in told
    assert "replayed from files that were edited after they had been applied: `00001_users`" in told


def test_plan_says_nothing_of_an_edited_comment(checkout: Checkout):
    checkout.released("1.4")
    checkout.migration(1, "users", f"-- who we know\n{USERS}")
    checkout.migration(2, "email", EMAIL)

    ended = checkout.run("plan", "--set", "VERSION=1.5")

    assert ended.exit_code == 0, ended.err
    assert "edited" not in ended.out + ended.err
