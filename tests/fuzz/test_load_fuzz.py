"""Whatever bytes a plan file holds, loading it ends soon, in a plan or in diagnostics: never in a crash.

All inputs go to one long-lived process (load_server.py) with limits on memory and time, so that even a fault
inside the C parser is seen as its death, and starting it is paid once.
"""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PLAN = b"""\
version: 1
release: shop-${VERSION}
databases:
  shop:
    engine: sqlite
    url: env:SHOP_DATABASE_URL
    migrations: {tool: goose, dir: migrations}
    locks: {try: 2s, budget: 500ms}
services:
  shop:
    version: ${VERSION}
    uses: [shop]
    platform: {local: {command: [./serve, 8080], port: "${N}", env: {A: 1.10}}}
    verify: [{http: /ready}, {command: [./smoke.sh]}]
    monitor: {for: 10s, every: 1s, failures: 1, checks: [{http: {path: /ready, status: 200}}]}
    keep_blue: 0s
gates: {contract: {approve: [dba]}}
on_failure: rollback
"""


class Server:
    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("load_server.py"), folder / "plan.yaml"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def codes(self, content: bytes) -> set[str]:
        """Load `content` and return the codes of its diagnostics."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(struct.pack("<I", len(content)) + content)
            self.process.stdin.flush()
        except BrokenPipeError:
            pytest.fail("the loader's process died before this input")
        header = self.process.stdout.read(4)
        assert header, f"the loader's process died of {content[:200]!r}: exit code {self.process.wait()}"
        answer = self.process.stdout.read(struct.unpack("<I", header)[0]).decode()
        assert not answer.startswith("Traceback"), answer
        return set(answer.split())

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("fuzz"))
    yield started
    started.close()


def fuzz(examples: int):
    return settings(
        max_examples=examples,
        deadline=timedelta(seconds=30),
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def test_loads_the_plan_that_the_mutations_start_from(server):
    assert server.codes(PLAN) == set()


@fuzz(300)
@given(st.binary(max_size=2000))
def test_any_bytes_end_in_diagnostics(server, content):
    assert server.codes(content)


@fuzz(300)
@given(st.text(max_size=500))
def test_any_text_ends_in_diagnostics(server, text):
    assert server.codes(text.encode("utf-8", "surrogatepass"))


TOKENS = (
    *(
        "- ",
        "? ",
        ": ",
        ":",
        ", ",
        "[",
        "]",
        "{",
        "}",
        "#",
        "&a ",
        "*a ",
        "!!str ",
        "!x ",
        "<<: ",
        "| ",
        "> ",
        "|+9 ",
    ),
    *(
        "'",
        '"',
        "%YAML 1.1\n",
        "%TAG ! x\n",
        "---\n",
        "...\n",
        "\n",
        "\n  ",
        "\n    ",
        "\t",
        "~",
        "null",
        "true",
    ),
    *(
        "1",
        "1.5",
        "0x1",
        "1e9",
        "${",
        "${N}",
        "$${",
        "${BOMB}",
        "a",
        "\\x00",
        "\\ud800",
        "ü",
        "\u2028",
        "version: 1\n",
    ),
    *(
        "release: r\n",
        "databases:\n",
        "services:\n",
        "  shop:\n",
        "platform: {local: {}}\n",
        "uses: [a]\n",
        "@",
        "`",
    ),
)


@fuzz(500)
@given(st.lists(st.sampled_from(TOKENS), max_size=60))
def test_text_that_looks_like_yaml_ends_in_diagnostics(server, tokens):
    assert server.codes("".join(tokens).encode("utf-8", "surrogatepass"))


@fuzz(700)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_a_plan_with_mistakes_is_read_or_refused(server, seed, mistakes):
    content, chance = bytearray(PLAN), random.Random(seed)
    for _ in range(mistakes):
        start = chance.randrange(len(content))
        end = min(len(content), start + chance.randrange(12))
        other = chance.randrange(len(content))
        match chance.randrange(4):
            case 0:
                content[start:end] = b""
            case 1:
                content[start:start] = content[other : other + chance.randrange(40)]
            case 2:
                content[start:end] = chance.choice(TOKENS).encode("utf-8", "surrogatepass")
            case 3:
                content[start:end] = chance.randbytes(end - start)

    server.codes(bytes(content))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(TOKENS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@fuzz(500)
@given(st.data())
def test_any_value_at_any_key_is_read_or_refused(server, data):
    lines = PLAN.decode().splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    key = lines[number].partition(":")[0]
    lines[number] = f"{key}: {as_flow(data.draw(VALUES))}"

    server.codes("\n".join(lines).encode("utf-8", "surrogatepass"))


def as_flow(value: object) -> str:
    match value:
        case list():
            return "[" + ", ".join(map(as_flow, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{as_flow(key)}: {as_flow(each)}" for key, each in value.items()) + "}"
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case None:
            return "~"
    return str(value)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"[" * 1_000_000, "too-deep"),
        (b"{" * 1_000_000, "too-deep"),
        (b"- " * 500_000, "too-deep"),
        (b"? " * 500_000, "too-deep"),
        (b"[{" * 500_000, "too-deep"),
        (b"".join(b" " * n + b"a:\n" for n in range(1400)), "too-deep"),
        (b"a: " + b"x" * 1_000_000, "missing-key"),
        (b"x" * 1_000_000 + b": 1", "not-yaml"),
        (b"? " + b"x" * 1_000_000 + b"\n: 1", "unknown-key"),
        (b"a: '" + b"''" * 500_000 + b"'", "missing-key"),
        (b"a: |\n" + b"  x\n" * 250_000, "missing-key"),
        (b"a: " + b"9" * 1_000_000, "missing-key"),
        (b"a: " + b"9" * 400_000 + b"." + b"9" * 400_000, "missing-key"),
        (b"a: " + b"!" * 1_000_000, "tag"),
        (b"a: &" + b"a" * 1_000_000, "anchor"),
        (b"a: 'password" + b" " * 900_000 + b"=x'", "missing-key"),
        (b"a: '" + b"://a:b" * 170_000 + b"'", "missing-key"),
        (b"a: '" + b"${N}" * 250_000 + b"'", "missing-key"),
        (b"a: '" + b"${BOMB}" * 140_000 + b"'", "file-too-large"),
        (b"\n".join(b"k%d: 1" % n for n in range(100_000)), "file-too-large"),
        (b"\n".join(b"databasess%d: 1" % n for n in range(4_000)), "unknown-key"),
        (b"\n".join(b"a: 1" for _ in range(200_000)), "duplicate-key"),
        (b"a: &a [x]\n" + b"\n".join(b"a%d: &a%d [%s]" % (n, n, b"*a," * 10) for n in range(500)), "alias"),
        (b"services: {" + b", ".join(b"s%d: {verion: 1}" % n for n in range(2_000)) + b"}", "unknown-key"),
        (b"databases: {" + b", ".join(b"d%d: 1.5" % n for n in range(4_000)) + b"}", "wrong-type"),
        (PLAN.replace(b"[./serve, 8080]", b"[" + b"1.5, " * 9_000 + b"]"), ""),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else value,
)
def test_large_and_hostile_files_end_soon(server, content, code):
    codes = server.codes(content)

    assert code in codes if code else codes == set()
