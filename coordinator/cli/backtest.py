"""`coordinator backtest`: what the past releases of a repository would have been."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.backtest.tags import Order
from coordinator.cli import app
from coordinator.cli.edge import exit_with, say, show, show_json
from coordinator.cli.options import SectionOption, XOption, x_arguments_of
from coordinator.errors import ExitCode, Usage
from coordinator.model import Engine, Layer

if TYPE_CHECKING:
    from coordinator.app.backtesting import Past


class BacktestOutput(StrEnum):
    """The forms of a backtest."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


MigrationPaths = Annotated[
    list[str],
    typer.Option(
        metavar="PATH",
        help="A folder of migrations; a glob; may be repeated. For Alembic: where alembic.ini is.",
    ),
]
SqlalchemyFunction = Annotated[
    str | None,
    typer.Option(metavar="MODULE:FUNCTION", help="A function of the project that returns its queries."),
]
PythonOfPast = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="The interpreter that runs Alembic and MODULE; else our own."),
]
UrlVariable = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The variable in which env.py looks for the address."),
]
VersionTable = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The version table, where env.py names one of its own."),
]


@app.command()
def backtest(
    *,
    tool: Annotated[str, typer.Option(help="The migration tool: goose, golang-migrate or alembic.")],
    migrations: MigrationPaths,
    repo: Annotated[Path, typer.Option(metavar="DIR", help="The git repository.")] = Path(),
    queries: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Queries: .sql or generated .go; a glob; may be repeated."),
    ] = None,
    sqlc: Annotated[
        str | None, typer.Option(metavar="FILE", help="The sqlc configuration that names the queries.")
    ] = None,
    sqlalchemy: SqlalchemyFunction = None,
    python: PythonOfPast = None,
    url_variable: UrlVariable = None,
    table: VersionTable = None,
    section: SectionOption = None,
    x_argument: XOption = None,
    tags: Annotated[str, typer.Option(metavar="REGEX", help="The tags that are releases, whole.")] = ".+",
    last: Annotated[int | None, typer.Option(min=1, help="Only so many of the newest tags.")] = None,
    order: Annotated[Order, typer.Option(help="How the tags follow each other.")] = Order.CREATED,
    layers: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYERS", help="What is asked, with commas; prepare is always."),
    ] = None,
    engine: Annotated[Engine, typer.Option(help="The engine to rehearse on.")] = Engine.POSTGRESQL,
    server_version: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="The live server's version; another one answers nothing."),
    ] = None,
    output: Annotated[BacktestOutput, typer.Option(help="The form of the result.")] = BacktestOutput.TEXT,
) -> None:
    """Replay a repository's past releases: which order each would have needed.

    Tag by tag on one scratch database, from git's objects: at each state of the schema, which queries
    of the old and of the new version work. Whatever it finds, the exit code is 0.
    """

    def run() -> ExitCode:
        from coordinator.app.backtesting import Past

        past = Past(
            folder=repo,
            tool=tool,
            migrations=tuple(migrations),
            queries=tuple(queries or ()),
            sqlc=sqlc,
            tags=_pattern(tags),
            last=last,
            order=order,
            layers=_layers(layers or []),
            engine=engine,
            server_version=server_version,
            sqlalchemy=sqlalchemy,
            python=python,
            url_variable=url_variable,
            table=table,
            section=section,
            x_arguments=x_arguments_of(x_argument, tool=tool, section=section),
        )
        return _backtest(past, output)

    exit_with(run, as_json=output is BacktestOutput.JSON)


def _backtest(past: Past, output: BacktestOutput) -> ExitCode:
    from coordinator.app.backtesting import replay_past
    from coordinator.report import backtest as report
    from coordinator.report import backtest_page

    found, seconds = replay_past(past, told=lambda release: say(f"{release.before} → {release.after}"))
    match output:
        case BacktestOutput.TEXT:
            show("\n".join(report.tell(found, seconds=seconds)))
        case BacktestOutput.JSON:
            show_json("backtest", 1, report.as_json(found, seconds=seconds))
        case BacktestOutput.HTML:
            show(backtest_page.as_html(found, seconds=seconds))
    return ExitCode.DONE


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise Usage(
            "bad-tag-pattern",
            f"`{text}` is no regular expression: {error}.",
            next_step="Write one that matches whole tags, such as `v[0-9.]+`, in quotes in the shell.",
        ) from None


def _layers(texts: list[str]) -> frozenset[Layer]:
    from coordinator.diagnostics import did_you_mean

    names = [name.strip() for text in texts for name in text.split(",")]
    for name in names:
        if name not in set(Layer):
            raise Usage("unknown-name", f"There is no layer `{name}`.", next_step=did_you_mean(name, Layer))
    return frozenset({Layer.PREPARE, *map(Layer, names)})
