"""In a warm interpreter of the user: forks that are a program and its supervisor, for each request.

This file is imported by its path and imports nothing of coordinator. Standard input is a socket that only the
coordinator holds open: the kernel closes it however the coordinator dies, and then the interpreter ends.
A message is one request with descriptors: the supervisor's standard input, output and error, and the lock
if there is one. The supervisor is a fork that does what supervisor.py does, and forks the program. Rejected:
to supervise in the interpreter itself, for a kill of it would leave the program without anybody.

Received descriptors are closed here at once: a lock that was kept would never be free, and a standard input
that was kept would hide from a supervisor that the coordinator died.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

TAKEN = b"t"
"""What is answered before anything is forked: from here on nobody else may do what was asked.

The coordinator that is tired of waiting refuses it first, so that who sends it in vain ends here.
"""
ENDED = b"e"
"""What is answered when the supervisor has ended and nothing of the request is left here."""
LONGEST = 1 << 15
"""Bytes of a request."""
_DESCRIPTORS = 4


def next_request(supervisor: Any) -> Any:
    """Return a request in the program that is to do it, which is a fork; the process itself never returns."""
    channel = socket.socket(fileno=0)
    while True:
        request, passed, _, _ = socket.recv_fds(channel, LONGEST, _DESCRIPTORS)
        if not request:
            os._exit(0)
        channel.send(TAKEN)
        forked = _fork(supervisor, passed[1])
        if forked == 0:
            channel.detach()
            _become_program(supervisor, passed)
            return json.loads(request)
        for each in passed:
            os.close(each)
        if forked is not None:
            os.waitpid(forked, 0)
        channel.send(ENDED)


def _become_program(supervisor: Any, passed: list[int]) -> None:
    """Return in a fork, which is the program; the process itself supervises it, and ends after it."""
    os.setsid()
    for number, each in enumerate(passed[:3]):
        os.dup2(each, number)
        os.close(each)
    locks = passed[3:]
    begins, begun = os.pipe()
    program = _fork(supervisor, 1)
    if program is None:
        os._exit(0)
    if program == 0:
        os.close(begins)
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        for each in locks:
            os.set_inheritable(each, True)
        os.close(begun)
        return
    for each in (*locks, begun):
        os.close(each)
    os.read(begins, 1)  # until the program leads a process group, which is what a kill reaches
    supervisor.supervise(program, lambda: os.waitstatus_to_exitcode(os.waitpid(program, 0)[1]))
    os._exit(0)


def _fork(supervisor: Any, said: int) -> int | None:
    try:
        return os.fork()
    except OSError as error:
        supervisor.say_not_started(error, said)
        return None
