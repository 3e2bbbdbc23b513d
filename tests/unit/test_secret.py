"""A secret's value is seen by whoever asks for it by name, and by nobody else."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from pprint import pformat

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic_core import to_json

from coordinator.adapters.secrets import resolve
from coordinator.errors import ExitCode, Usage
from coordinator.model import SecretRef
from coordinator.secret import Secret, without

VALUE = "hunter2"


@dataclass(frozen=True)
class Holder:
    name: str
    secret: Secret


class Model(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    secret: Secret


def test_gives_the_value_to_who_asks_for_it():
    assert Secret(VALUE).reveal() == VALUE


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        format,
        pformat,
        "{}".format,
        "{:>20}".format,
        "{!r}".format,
        lambda secret: f"{secret}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - the form is the subject
        lambda secret: repr([secret]) + repr({"a": secret}),
        lambda secret: repr(Holder("a", secret)) + repr(Model(secret=secret)),
        lambda secret: str(Usage("a", "b", why=str(secret))),
        lambda secret: repr(Model(secret=secret).model_dump()),
        dir,
    ],
)
def test_shows_itself_in_no_text(show):
    assert VALUE not in str(show(Secret(VALUE)))


@pytest.mark.parametrize(
    "leave",
    [
        json.dumps,
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        vars,
        to_json,
        lambda secret: asdict(Holder("a", secret)),
        lambda secret: json.dumps({"a": [secret]}),
        lambda secret: Model(secret=secret).model_dump_json(),
        lambda secret: TypeAdapter(dict[str, object]).dump_json({"a": secret}),
    ],
)
def test_refuses_to_be_copied_and_serialised(leave):
    with pytest.raises((TypeError, ValueError)) as refused:
        leave(Secret(VALUE))

    assert VALUE not in str(refused.value)


def test_stays_hidden_in_a_log(caplog):
    logging.getLogger("x").error("connecting with %s and %r", Secret(VALUE), {"a": Secret(VALUE)})

    assert VALUE not in caplog.text


def test_stays_hidden_in_a_traceback_with_locals():
    def fail(secret: Secret) -> None:
        raise RuntimeError

    try:
        fail(Secret(VALUE))
    except RuntimeError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())

    assert "secret = Secret(********)" in shown
    assert f"{VALUE!r}" not in shown.replace(f"VALUE = {VALUE!r}", "")


def resolved(reference: SecretRef, folder: Path) -> str:
    return resolve(reference, folder=folder, environment={"URL": VALUE, "EMPTY": ""}).reveal()


def test_reads_a_secret_from_the_environment(tmp_path):
    assert resolved(SecretRef("env", "URL"), tmp_path) == VALUE


@pytest.mark.parametrize(
    ("content", "value"),
    [(VALUE, VALUE), (f"{VALUE}\n", VALUE), (f"{VALUE}\n\n", f"{VALUE}\n"), (f" {VALUE} \n", f" {VALUE} ")],
)
def test_reads_a_secret_from_a_file_without_its_last_newline(tmp_path, content, value):
    (tmp_path / "secret").write_text(content)

    assert resolved(SecretRef("file", "secret"), tmp_path) == value
    assert resolved(SecretRef("file", str(tmp_path / "secret")), tmp_path / "elsewhere") == value


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        (SecretRef("env", "GONE"), "secret-missing"),
        (SecretRef("env", "EMPTY"), "secret-missing"),
        (SecretRef("file", "gone"), "secret-missing"),
        (SecretRef("file", "empty"), "secret-missing"),
        (SecretRef("file", "."), "secret-unreadable"),
        (SecretRef("file", "pipe"), "secret-unreadable"),
        (SecretRef("file", "binary"), "secret-unreadable"),
        (SecretRef("file", "giant"), "secret-unreadable"),
        (SecretRef("file", "empty/x"), "secret-unreadable"),
    ],
)
def test_names_the_reference_that_leads_nowhere(tmp_path, reference, code):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(VALUE.encode() + b"\xff")
    (tmp_path / "giant").write_text(VALUE * 20_000)
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(Usage) as refused:
        resolved(reference, tmp_path)

    assert (refused.value.code, refused.value.exit_code) == (code, ExitCode.INVALID)
    assert str(reference) in str(refused.value)
    assert VALUE not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "shown",
    [
        "postgresql://shop:pa%2Fss@db/shop",
        "pa%2Fss",
        "pa/ss",
        "cGEvc3M=",
        "postgresql%3A%2F%2Fshop%3Apa%252Fss%40db%2Fshop",
    ],
)
def test_a_foreign_text_is_shown_without_a_secret_in_any_of_its_forms(shown):
    secret = Secret("postgresql://shop:pa%2Fss@db/shop")

    assert without(f"before {shown} after", [secret]) == "before ******** after"


def test_a_foreign_text_without_secrets_stays_as_it_is():
    assert without("refused", [Secret("canary"), Secret("http://[")]) == "refused"


def test_a_password_that_only_sqlalchemy_reads_is_hidden_by_itself():
    url = Secret("postgresql+psycopg://shop:ge/he%20im@db/orders")

    said = without("no entry for ge/he im, ge/he%20im at db", [url])

    assert said == "no entry for ********, ******** at db"
