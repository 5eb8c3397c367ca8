"""Disks that can be filled, and one of which power cuts take what was not synced. Only root can mount them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

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


# EXT4_IOC_SHUTDOWN, and what it is asked for: nothing that was not synced, not even the journal, reaches the disk.
_SHUTDOWN: Final = 0x8004587D
_NO_LOG_FLUSH: Final = 2


class PowerCut:
    """A file system of its own at `path`, whose writes reach the disk below when they are synced and not before."""

    def __init__(self, place: Path, size: int) -> None:
        self.path, self._image = place / "disk", place / "image"
        self.path.mkdir()
        with self._image.open("wb") as file:
            file.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self._image)], check=True)
        self._mount()

    def cut(self) -> None:
        """The power is gone, and back: what was not synced is lost. Nobody may have a file open afterwards."""
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(directory)

    def restore(self) -> None:
        subprocess.run(["umount", str(self.path)], check=True)
        self._mount()

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)

    def _mount(self) -> None:
        # Else the kernel's own habit would sync what nobody asked for.
        subprocess.run(["mount", "-o", "loop,commit=3600", str(self._image), str(self.path)], check=True)


@pytest.fixture
def power_cut(tmp_path: Path) -> Iterator[PowerCut]:
    """An empty disk of 1 GB of which power cuts take what was not synced."""
    if not _mounts() or not shutil.which("mkfs.ext4"):
        pytest.skip("no disk can be mounted here: not root, or a container without CAP_SYS_ADMIN or mkfs.ext4")
    with tempfile.TemporaryDirectory(prefix="mz-", dir="/tmp") as place:
        try:
            made = PowerCut(Path(place), 1 << 30)
        except subprocess.CalledProcessError:
            pytest.skip("no disk of a file can be mounted here: no loop devices")
        with contextlib.closing(made):
            yield made
