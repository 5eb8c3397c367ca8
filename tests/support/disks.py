"""A small disk that can be filled and emptied: a tmpfs, which only root can mount."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


class Disk:
    """Mounted at `path` until it is closed."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self._ballast = path, path / "ballast"
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "mozzart-test", str(path)], check=True)

    def fill(self) -> None:
        """To the last byte."""
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * (1 << 20 if shutil.disk_usage(self.path).free > 2 << 20 else 4096))

    def free(self) -> None:
        self._ballast.unlink()

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)


def _mounts() -> bool:
    """Whether we may: root in a container may not always."""
    with tempfile.TemporaryDirectory() as place:
        if os.geteuid() or not shutil.which("mount"):
            return False
        tried = subprocess.run(["mount", "-t", "tmpfs", "mozzart-test", place], capture_output=True, check=False)
        if tried.returncode == 0:
            subprocess.run(["umount", place], check=True)
        return tried.returncode == 0


@contextlib.contextmanager
def disk(size: int) -> Iterator[Disk]:
    """An empty one of so many bytes in a directory of its own."""
    if not _mounts():
        # No part that could be installed, so not need_program: it is the machine's to allow, in CI as elsewhere.
        pytest.skip("no disk can be mounted here: not root, or a container without CAP_SYS_ADMIN")
    with (
        tempfile.TemporaryDirectory(prefix="mz-", dir="/tmp") as place,
        contextlib.closing(Disk(Path(place), size)) as made,
    ):
        yield made


@pytest.fixture
def make_disk() -> Iterator[Callable[[int], Disk]]:
    """`make_disk(64 << 20)`: as `disk`, until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda size: stack.enter_context(disk(size))
