"""The user's Alembic: its version, its configuration with the address that was asked for, its files."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from .refusal import Refused

_DRIVERS = {"postgresql": ("psycopg", "psycopg2", "asyncpg", "pg8000"), "mysql": ("pymysql", "MySQLdb")}
"""Which driver to take where the project names none and SQLAlchemy's own is missing, by what is installed."""
_OLDEST = (1, 9)
_READS_TOML = (1, 16)


def demand_alembic() -> None:
    """Refuse to work without an Alembic that is known to work."""
    try:
        import alembic
    except ModuleNotFoundError as error:
        raise Refused(
            f"{sys.executable} has no {error.name}. Name the interpreter of the project, which has Alembic:"
            " `migrations: {…, python: .venv/bin/python}`."
        ) from error
    if _numbers(alembic.__version__) < _OLDEST:
        raise Refused(f"{sys.executable} has Alembic {alembic.__version__}; it must be 1.9 or newer.")


def config_of(request: dict[str, Any]) -> Any:
    """Return Alembic's configuration, with the address that was asked for."""
    folder, section = Path(request["folder"]), request["section"]
    places = (_config_in(each, section) for each in (folder, folder.parent))
    config = next(filter(None, places), None) or _config_of()
    get = getattr(config, "get_alembic_option", config.get_main_option)
    location = get("script_location")
    if not location or _is_template(location, folder):
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
    url = _url(request["url"], config.get_main_option("sqlalchemy.url"))
    said = [f"{key}={value.replace('{url}', url)}" for key, value in request["x_arguments"].items()]
    config.cmd_opts = argparse.Namespace(x=said or None, name=config.config_ini_section, sql=False, tag=None)
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    if request["variable"]:
        os.environ[request["variable"]] = _url(request["url"], os.environ.get(request["variable"]))
    return config


def _is_template(location: str, folder: Path) -> bool:
    """Tell whether a place leads nowhere, as one that a program fills in does, and the folder has env.py."""
    return ":" not in location and not Path(location).is_dir() and (folder / "env.py").is_file()


def _config_in(folder: Path, section: str | None) -> Any:
    """Return the configuration of a folder, as `alembic -n section` reads it there; None if it has none."""
    ini, toml = folder / "alembic.ini", folder / "pyproject.toml"
    files: dict[str, Any] = {"file_": str(ini)} if ini.is_file() else {}
    if toml.is_file() and "[tool.alembic]" in toml.read_text(encoding="utf-8"):
        files["toml_file"] = str(toml)
    if section is None:
        return _config_of(**files) if files else None
    config = _config_of(**files, ini_section=section) if "file_" in files else None
    return config if config and config.file_config.has_section(section) else None


def _config_of(**files: Any) -> Any:
    import alembic
    from alembic.config import Config

    if "toml_file" in files and _numbers(alembic.__version__) < _READS_TOML:
        raise Refused(
            f"Alembic {alembic.__version__} does not read the [tool.alembic] of {files['toml_file']};"
            " 1.16 does."
        )
    return Config(**files)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in version.split(".")[:2] if each.isdecimal())


def _url(address: str, like: str | None) -> str:
    """Return the address for SQLAlchemy, with the driver of another one, or its own.

    An address without one stays so where SQLAlchemy's default is installed: env.py may compare its scheme.
    Else it is the first that is installed.
    """
    from sqlalchemy.engine import make_url

    scheme, colon, rest = address.partition("://")
    name = _dialect(address)
    base, _, driver = scheme.partition("+")
    with suppress(Exception):
        other, _, named = make_url(like or "").drivername.partition("+")
        driver = named or driver if _dialect(f"{other}://") == name else driver
    if driver:
        name = base if "+" in scheme else name
    elif name in _DRIVERS and not _has_default_driver(name):
        driver = next(filter(find_spec, _DRIVERS[name]), "")
    if name == "postgresql":
        rest = _with_hosts_in_query(rest)
    if driver == "pg8000":
        rest = _with_socket_of_pg8000(rest)
    if name == "sqlite":
        rest = f"/{rest.partition('?')[0]}"  # an absolute path
    return f"{name}+{driver}{colon}{rest}" if driver else f"{name}{colon}{rest}"


def _has_default_driver(name: str) -> bool:
    from sqlalchemy.engine import make_url

    driver = make_url(f"{name}://").get_dialect().driver
    return find_spec({"mysqldb": "MySQLdb"}.get(driver, driver)) is not None


def _with_hosts_in_query(rest: str) -> str:
    """Return an address behind its scheme with several hosts where SQLAlchemy looks for them: behind `?`.

    libpq has them, each with its port, before the path.
    """
    place, _, path = rest.partition("/")
    who, at, listed = place.rpartition("@")
    if "," not in listed or "[" in listed:
        return rest
    pairs = [each.partition(":")[::2] for each in listed.split(",")]
    hosts, ports = [host for host, _ in pairs], [port for _, port in pairs]
    database, _, query = path.partition("?")
    lists = f"host={','.join(hosts)}" + (f"&port={','.join(ports)}" if any(ports) else "")
    return f"{who}{at}/{database}?{lists}" + (f"&{query}" if query else "")


def _with_socket_of_pg8000(rest: str) -> str:
    """Return an address behind its scheme with the folder of sockets, where a scratch server listens, as the
    file that pg8000 wants.
    """
    place, _, query = rest.partition("?")
    asked = dict(parse_qsl(query, keep_blank_values=True))
    folder = asked.pop("host", "")
    if not folder.startswith("/"):
        return rest
    file = f"{folder}/.s.PGSQL.{asked.pop('port', '') or 5432}"
    return f"{place}?{urlencode({'unix_sock': file, **asked})}"


def _dialect(address: str) -> str:
    scheme = address.partition("://")[0].partition("+")[0]
    return {"postgres": "postgresql", "mariadb": "mysql"}.get(scheme, scheme)


def script_of(config: Any, request: dict[str, Any]) -> Any:
    """Return Alembic's view of the files, which must be those that were read for the plan."""
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(config)
    demand_as_read(script, request)
    return script


def demand_as_read(script: Any, request: dict[str, Any]) -> None:
    """Refuse revisions that Alembic finds elsewhere, or otherwise than they were read for the plan."""
    for name, (path, digest) in request["revisions"].items():
        revision = script.get_revision(name)
        if revision.path != path and Path(revision.path).resolve() != Path(path).resolve():
            raise Refused(f"Alembic finds revision {name} in {revision.path}, and the plan in {path}.")
        if sha256(Path(path).read_bytes()).hexdigest() != digest:
            raise Refused(f"{path} was changed while the command ran.")
        said = getattr(revision.module, "branch_labels", None) or ()
        labels = sorted({said} if isinstance(said, str) else said)
        if labels != sorted(request["labels"][name]):
            raise Refused(
                f"The branch labels of {path} are {', '.join(labels) or 'none'}, and"
                f" {', '.join(request['labels'][name]) or 'none'} where it was read."
            )


def folders_of(script: Any) -> frozenset[Path]:
    """Return the folders in which Alembic looks for revisions."""
    named = script.version_locations or [Path(script.dir, "versions")]
    return frozenset(Path(each).resolve() for each in named)


def demand_folders(script: Any, before: frozenset[Path]) -> None:
    """Refuse an env.py that makes Alembic look for revisions in other folders than were read for the plan."""
    now = folders_of(script)
    if now != before:
        new, old = (", ".join(map(str, sorted(each))) for each in (now, before))
        raise Refused(
            f"env.py sets the folders of revisions (`version_locations`) to {new}, and those of the plan are"
            f" from {old}. Write them into alembic.ini, which is read without running anything. Nothing was"
            " applied."
        )
