"""What the rehearsal wants to know of the live database: version, sizes, a dump. It only reads."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from coordinator.adapters.postgresql_refusals import scrub
from coordinator.adapters.postgresql_url import connect, parameters_of, shown_by
from coordinator.adapters.rehearsals._postgresql.binaries import dump_binaries
from coordinator.errors import DatabaseError, Usage
from coordinator.ports.databases import Session
from coordinator.secret import Secret

_ENVIRONMENT = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "options": "PGOPTIONS",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "channel_binding": "PGCHANNELBINDING",
    "require_auth": "PGREQUIREAUTH",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
"""libpq's variable for each parameter of a URL (its documentation, "Environment Variables")."""
_READ_ONLY = "-c default_transaction_read_only=on"
_SIZES = """
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), CASE c.relkind
    WHEN 'p' THEN (SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(relid))
        FROM pg_catalog.pg_partition_tree(c.oid))
    ELSE pg_catalog.pg_total_relation_size(c.oid) END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""


def version_of(server_version_num: int) -> str:
    """Return `postgresql 18.6` for 180006."""
    return f"postgresql {server_version_num // 10000}.{server_version_num % 10000}"


def live_version(session: Session) -> str:
    """Return the version of the server that a session is connected to."""
    [[number]] = session.query("SELECT current_setting('server_version_num')")
    return version_of(int(str(number)))


def live_sizes(session: Session) -> Mapping[str, int]:
    """Return the bytes of each table with indexes, TOAST and partitions, by `schema.name` as SQL wants it."""
    return {str(name): int(str(size)) for name, size in session.query(_SIZES) if size is not None}


def dump(url: Secret) -> str:
    """Return the schema of a database as pg_dump writes it. Its URL goes in the environment, never in argv.

    Raises: Usage `no-pg-dump` or `bad-database-url`, DatabaseError `dump-failed` or `database-unreachable`.
    """
    program = dump_binaries(_version_at(url)).program("pg_dump")
    done = subprocess.run(
        [program, "--schema-only", "--no-password"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=_environment(url),
        check=False,
    )
    if done.returncode != 0:
        said = scrub(" ".join(done.stderr.decode(errors="replace").split()), shown_by(url))
        raise DatabaseError(
            "dump-failed",
            f"The live database's schema could not be dumped: {said}",
            next_step="Let the plan's role read the schema, or rehearse on the files: `base: replay`.",
        )
    return done.stdout.decode()


def _version_at(url: Secret) -> str:
    with connect(url, called="The live database", label="coordinator rehearsal") as connection:
        return version_of(connection.info.server_version)


def _environment(url: Secret) -> dict[str, str]:
    parameters = dict(parameters_of(url))
    unknown = sorted(parameters.keys() - _ENVIRONMENT.keys() - {"application_name", "client_encoding"})
    if unknown:
        raise Usage(
            "bad-database-url",
            f"The parameter `{unknown[0]}` of the database's URL cannot be given to pg_dump.",
            next_step="Take it out of the URL, or rehearse on the files: `base: replay`.",
        )
    parameters["options"] = f"{parameters.get('options', '')} {_READ_ONLY}".strip()
    given = {_ENVIRONMENT[name]: value for name, value in parameters.items() if name in _ENVIRONMENT}
    return {**os.environ, **given, "PGCLIENTENCODING": "UTF8", "PGAPPNAME": "coordinator rehearsal"}
