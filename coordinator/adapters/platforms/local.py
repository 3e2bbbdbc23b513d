"""Blue and green as processes of this machine behind a TCP router: the whole product without a cluster.

A service lives in `.coordinator/local/<service>` below the plan (_local/records.py says what is there).
Processes outlive the command, and nothing of them outlives `coordinator local down`. A plan is checked with
what stands here; what starts and ends processes (_local/service.py) is imported when a command connects.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from coordinator.adapters.platforms._local.spec import LocalSpec
from coordinator.model import SecretRef
from coordinator.ports import PlatformKind
from coordinator.secret import Secret

if TYPE_CHECKING:
    from coordinator.adapters.platforms._local.service import Local


class LocalKind:
    """The platform `local`."""

    spec: type = LocalSpec

    def connect(
        self, *, service: str, spec: object, folder: Path, resolve: Callable[[SecretRef], Secret]
    ) -> Local:
        """Return the service on this machine; touches nothing yet."""
        from coordinator.adapters.platforms._local.service import service_at  # noqa: PLC0415

        assert isinstance(spec, LocalSpec)
        return service_at(folder, name=service, spec=spec, resolve=resolve)


PLATFORM: Final[PlatformKind] = LocalKind()
