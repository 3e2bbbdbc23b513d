from __future__ import annotations

from coordinator.cli import app
from coordinator.cli.edge import prepare_streams


def main() -> None:
    """Run the command line."""
    prepare_streams()
    app()


if __name__ == "__main__":
    main()
