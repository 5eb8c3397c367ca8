"""One `mozzart up` for one DATA_DIR: an advisory lock that the kernel frees when its holders are gone."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final, Self

from mailcore.errors import MozzartError, Retry, SettingsError

# A killed `up` may need a moment until its children have died with it.
_PATIENCE: Final = 1.0


class AlreadyRunning(MozzartError):
    """Another `mozzart up` holds the data directory."""

    retry = Retry.LATER


class DataLock:
    """A context manager; raises AlreadyRunning when somebody holds the lock, SettingsError when there can be none."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.descriptor = -1

    def __enter__(self) -> Self:
        path = self._directory / "up.lock"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingsError(
                f"DATA_DIR {self._directory} cannot be used ({error.strerror}); "
                "make it writable for this user or set another DATA_DIR."
            ) from None
        deadline = time.monotonic() + _PATIENCE
        while not self._take():
            if time.monotonic() >= deadline:
                holder = os.pread(self.descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
                os.close(self.descriptor)
                raise AlreadyRunning(
                    f"Another `mozzart up` (process {holder}) is running on {self._directory.resolve()}. "
                    "Stop it first (Ctrl-C in its terminal), or give this one a DATA_DIR of its own."
                )
            time.sleep(0.05)
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def _take(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
