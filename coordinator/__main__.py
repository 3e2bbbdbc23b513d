from __future__ import annotations

import atexit
import gc
import signal

_OBJECTS_UNTIL_COLLECTION = 100_000
"""Python looks for dead cycles after 700 new objects; a start makes many times that number, and all live."""


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is begun yet: no traceback of an import
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTION)
    atexit.register(gc.freeze)  # the process takes its memory along; Python would first look through it all

    from coordinator.cli import app  # noqa: PLC0415 - after the threshold, which this import is in need of
    from coordinator.cli.edge import prepare_streams  # noqa: PLC0415

    prepare_streams()
    app(prog_name="coordinator")


if __name__ == "__main__":
    main()
