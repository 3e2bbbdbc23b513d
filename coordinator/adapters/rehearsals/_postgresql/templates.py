"""A copy of what initdb made, in the user's cache, because initdb is most of the time that a server takes.

A template is complete or not there: it is copied under another name, written to the disk, and renamed. Its
name changes with the programs and with initdb's options. Nothing in it is ever changed; if no
server starts from it, it is removed and initdb is run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from coordinator.adapters.cache_folder import cache_folder
from coordinator.adapters.rehearsals._postgresql.binaries import Binaries

_DRAFT = "draft-"


def template_folder(binaries: Binaries, options: Sequence[str]) -> Path:
    """Return where the template of these programs is, or would be."""
    program = Path(binaries.program("initdb")).stat()
    key = repr((str(binaries.folder), binaries.version, program.st_mtime_ns, program.st_size, tuple(options)))
    return cache_folder() / "postgresql" / f"{binaries.version}-{sha256(key.encode()).hexdigest()[:16]}"


def copy_template(template: Path, data: Path) -> bool:
    """Copy a template; False, and nothing is left, if there is none or it cannot be read."""
    try:
        shutil.copytree(template, data, copy_function=shutil.copyfile)
    except OSError:
        shutil.rmtree(data, ignore_errors=True)
        return False
    return True


def keep_template(template: Path, data: Path) -> None:
    """Keep a copy of a data folder whose server was never started; a cache that cannot be written is none."""
    try:
        template.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone_in(template.parent) as is_alone:
            if not is_alone or template.exists():
                return
            for left in template.parent.glob(f"{_DRAFT}*"):
                shutil.rmtree(left)
            draft = template.with_name(f"{_DRAFT}{os.getpid()}")
            try:
                shutil.copytree(data, draft, copy_function=shutil.copyfile)
                os.sync()  # a power cut must not leave a complete name with empty files
                draft.rename(template)
            finally:  # a full disk would stay full
                shutil.rmtree(draft, ignore_errors=True)
    except OSError:
        return


def forget_template(template: Path) -> None:
    """Remove a template that no server starts from; renamed first, so that nobody copies a part of it."""
    spoilt = template.with_name(f"{_DRAFT}{os.getpid()}-spoilt")
    with suppress(OSError):
        template.rename(spoilt)
        shutil.rmtree(spoilt)


@contextmanager
def _alone_in(folder: Path) -> Iterator[bool]:
    """Tell whether nobody else is writing here; the lock goes with its holder, however that ends."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(lock)
