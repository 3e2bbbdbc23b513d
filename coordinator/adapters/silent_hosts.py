"""A server that is gone without a word: its machine lost its power, or was fenced from the network.

Nobody ends such a connection, and who waits for an answer over it waits two hours by the kernel's default
(tcp_keepalive_time), with the release at a standstill. So the kernel asks after half a minute, and gives the
connection up when nothing came back for as long again. A statement that takes long is no silence: the other
kernel answers.
"""

from __future__ import annotations

import os
import socket
from typing import Final

_IDLE, _EVERY, _TIMES = 30, 10, 3
"""Seconds until the kernel asks, seconds between its questions, and how many may stay without an answer."""
_UNANSWERED: Final = (_IDLE + _EVERY * _TIMES) * 1000
"""Milliseconds for which what was sent may stay without a receipt."""
OF_LIBPQ: Final = {
    "keepalives_idle": _IDLE,
    "keepalives_interval": _EVERY,
    "keepalives_count": _TIMES,
    "tcp_user_timeout": _UNANSWERED,
}
"""The same as libpq's parameters, which it leaves alone on a socket of this machine."""
_OPTIONS: Final = {
    "TCP_KEEPIDLE": _IDLE,
    "TCP_KEEPINTVL": _EVERY,
    "TCP_KEEPCNT": _TIMES,
    "TCP_USER_TIMEOUT": _UNANSWERED,
}


def give_up_silence(connection: socket.socket) -> None:
    """Let the kernel give a connection up whose other end is silent, as far as this system can."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def cut_off(number: int) -> None:
    """End the connection of a descriptor, for whoever waits for it in another thread."""
    with socket.socket(fileno=os.dup(number)) as connection:
        connection.shutdown(socket.SHUT_RDWR)
