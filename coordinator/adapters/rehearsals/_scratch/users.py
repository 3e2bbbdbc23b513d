"""A server of a database refuses to run as root, or should: root lends it the name of somebody harmless."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from typing import TypedDict

from coordinator.errors import Usage


class Identity(TypedDict, total=False):
    """Arguments of subprocess that make a child another user."""

    user: int
    group: int
    extra_groups: list[int]


def unprivileged(names: Sequence[str]) -> pwd.struct_passwd | None:
    """Return the first of some users whom this machine has; None where we are not root, and lend nobody.

    Raises: Usage `rehearsal-server-failed` where there is none of them.
    """
    if os.getuid() != 0:
        return None
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Usage(
        "rehearsal-server-failed",
        "The scratch server for the rehearsal could not be started: it does not run as root, and this machine"
        f" has none of the users to lend it: {', '.join(names)}.",
        next_step="Add one, or name a scratch server of your team: `rehearsal: {url: env:…}`.",
    )


def as_user(user: pwd.struct_passwd | None) -> Identity:
    """Return how subprocess starts a child as somebody; None: as ourselves."""
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
