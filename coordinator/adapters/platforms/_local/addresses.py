"""Where router and services listen: on ports below the range that kernels give to outgoing connections.

Linux takes those from 32768 up, macOS from 49152 up. A listening port from that range can be in use as
somebody's local port when its service starts again, and a client that tries to reach a dead port in it
can even be connected to itself.
"""

from __future__ import annotations

import random
import socket
from typing import Final

HOST: Final = "127.0.0.1"
"""Router and services listen here and nowhere else."""
EXIT_PORT_TAKEN: Final = 3
"""The router's exit code when another program has its port."""
_RANGE = range(20000, 30000)
"""Below the ephemeral ports, and below the NodePorts of a Kubernetes on this machine (30000 to 32767): its
rules would take every connection to such a port, whoever listens there."""
_TRIES = 200


def url(port: int) -> str:
    """Return the base URL of what listens on `port`."""
    return f"http://{HOST}:{port}"


def free_port(*, besides: frozenset[int] = frozenset()) -> int:
    """Return a port of 127.0.0.1 that nobody listens on now; somebody may, a moment later."""
    for port in random.sample(_RANGE, _TRIES):
        if port not in besides:
            with socket.socket() as probe:
                try:
                    probe.bind((HOST, port))
                except OSError:
                    continue
                return port
    raise OSError(f"{_TRIES} ports between {_RANGE.start} and {_RANGE.stop} were tried, and all are taken")
