"""The file of kept evidence: it forgets where it must, and whatever happens to it, it says nothing wrong."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest
from fixtures.evidence_writer import answer_of

from coordinator.adapters.cache_folder import cache_folder
from coordinator.adapters.evidence_cache import EvidenceFile, evidence_file, program

_WRITER = Path(__file__).parents[1] / "fixtures" / "evidence_writer.py"


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "cache" / "coordinator" / "evidence-1.sqlite3"


def opened(file: Path, *, largest: int = 1_000_000) -> tuple[EvidenceFile, list[str]]:
    """Return the cache, and what it tells."""
    told: list[str] = []
    return EvidenceFile(file, tell=told.append, largest=largest), told


def test_gives_back_what_was_put_under_the_key_and_nothing_under_another(file):
    cache, told = opened(file)
    cache.put("one", "1 \N{SNOWMAN}")
    cache.put("two", "2")
    cache.put("two", "2 again")

    again, _ = opened(file)

    assert [again.get(key) for key in ("one", "two", "three")] == ["1 \N{SNOWMAN}", "2 again", None]
    assert told == []


def test_is_closed_to_others(file):
    cache, _ = opened(file)
    cache.put("one", "1")

    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_the_oldest_answers_make_room(file):
    cache, _ = opened(file, largest=1000)
    for number in range(12):
        cache.put(str(number), "x" * 300)
    cache.put("large", "x" * 1001)
    kept = [number for number in range(12) if cache.get(str(number))]

    cache.put("12", "x" * 300)

    assert kept == []  # one that is larger than all may be takes every place, and gets none
    assert cache.get("large") is None
    assert cache.get("12") == "x" * 300


def test_the_last_that_fit_stay(file):
    cache, _ = opened(file, largest=1000)
    for number in range(12):
        cache.put(str(number), "x" * 300)

    assert [number for number in range(12) if cache.get(str(number))] == [9, 10, 11]


def test_a_file_of_another_program_is_thrown_away(file):
    file.parent.mkdir(parents=True)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE evidence (key, answer, digest)")
        connection.execute("INSERT INTO evidence VALUES ('one', 'not ours', '')")
        connection.commit()
    file.chmod(0o600)
    cache, told = opened(file)

    assert cache.get("one") is None
    cache.put("one", "1")

    assert cache.get("one") == "1"
    assert ["is another program's" in each for each in told] == [True]


def test_a_file_that_others_may_write_is_thrown_away(file):
    cache, told = opened(file)
    cache.put("one", "1")
    file.chmod(0o620)

    assert cache.get("one") is None
    assert ["is no private file" in each for each in told] == [True]


def test_a_link_in_its_place_is_not_followed(file, tmp_path):
    elsewhere, _ = opened(tmp_path / "elsewhere")
    elsewhere.put("one", "not ours")
    file.parent.mkdir(parents=True)
    file.symlink_to(tmp_path / "elsewhere")
    cache, told = opened(file)

    assert cache.get("one") is None
    cache.put("one", "1")

    assert cache.get("one") == "1"
    assert elsewhere.get("one") == "not ours"
    assert ["is no private file" in each for each in told] == [True]


def test_a_folder_in_its_place_stays_and_there_is_no_cache(file):
    file.mkdir(parents=True)
    cache, told = opened(file)

    cache.put("one", "1")

    assert cache.get("one") is None
    assert file.is_dir()
    assert told == []


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"SQLite format 3\0", b"no database at all" * 300])
def test_a_file_that_is_no_database_is_replaced(file, content):
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    file.chmod(0o600)
    cache, _ = opened(file)

    cache.put("one", "1")
    cache.put("one", "1")

    assert cache.get("one") == "1"


def test_damage_anywhere_costs_an_answer_and_never_changes_one(file):
    cache, _ = opened(file)
    keys = [f"key-{number}" for number in range(5)]
    for key in keys:
        cache.put(key, answer_of(key)[:3000])
    sound = file.read_bytes()
    random = Random(8)
    lost = 0

    for _ in range(300):
        damaged = bytearray(sound)
        for _ in range(random.choice((1, 1, 8))):
            damaged[random.randrange(len(sound))] ^= 1 << random.randrange(8)
        file.write_bytes(damaged[: random.choice((len(sound), len(sound), random.randrange(len(sound))))])
        file.chmod(0o600)
        for key in keys:
            answer = cache.get(key)
            lost += answer is None
            assert answer in (None, answer_of(key)[:3000])

    assert lost > 100


def test_a_cache_that_cannot_be_made_is_none(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache, told = opened(tmp_path / "file" / "coordinator" / "evidence-1.sqlite3")

    cache.put("one", "1")

    assert cache.get("one") is None
    assert told == []


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", _no_home)
    cache, _ = opened(evidence_file())

    cache.put("one", "1")

    assert cache.get("one") is None


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_is_where_the_user_wants_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache_folder() == tmp_path / "coordinator"


def test_the_program_is_the_same_as_long_as_nobody_changes_a_line():
    assert program() == program()


@contextmanager
def writing(file: Path, writer: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command that keeps evidence, wait for its first answer, and kill it at the end."""
    command = subprocess.Popen(
        [sys.executable, _WRITER, str(file), writer],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert command.stdout is not None
        assert command.stdout.readline() == "ready\n"
        yield command
    finally:
        command.kill()
        command.communicate()


def kept(cache: EvidenceFile, writer: str) -> list[str]:
    keys = [f"{writer}-{number}" for number in range(40)]
    answers = {key: cache.get(key) for key in keys}
    assert all(answer in (None, answer_of(key)) for key, answer in answers.items())
    return [key for key, answer in answers.items() if answer is not None]


def test_a_kill_while_writing_leaves_only_whole_answers(file):
    cache, told = opened(file)
    for number in range(5):
        with writing(file, "killed"):
            for _ in range(number * 3):
                cache.get("killed-0")

        # It is dead by now, and what it was writing is not there.
        assert kept(cache, "killed")

    assert told == []
    cache.put("after", "1")
    assert cache.get("after") == "1"


def test_several_commands_write_at_once(file):
    cache, told = opened(file)
    with writing(file, "one"), writing(file, "two"):
        cache.put("mine", "1")
        kept(cache, "one")
        kept(cache, "two")

    assert [*kept(cache, "one"), *kept(cache, "two")]
    assert told == []


def test_an_answer_of_another_key_is_none(file):
    cache, _ = opened(file)
    cache.put("one", "1")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE evidence SET key = 'two'")
        connection.commit()

    assert cache.get("two") is None
    assert file.exists()
