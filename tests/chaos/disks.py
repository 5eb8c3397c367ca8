"""Small disks that can be full: tmpfs that is mounted for us alone and made as small as what it holds."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.programs import find_program, wait_until

_SIZE: Final = 4 << 30  # only what is used takes memory
_INSIDE: Final = "MOZZART_CHAOS_MOUNTS"


@dataclass(frozen=True)
class Disk:
    place: Path

    def mount(self) -> Disk:
        self.place.mkdir(parents=True, exist_ok=True)
        _mount("-t", "tmpfs", "-o", f"size={_SIZE},mode=0700", "tmpfs", self.place)
        return self

    def unmount(self) -> None:
        subprocess.run([find_program("umount", "mount"), "--lazy", str(self.place)], check=True)

    def fill(self) -> None:
        """No room from now on but for what is written over."""
        wait_until(self._filled, f"{self.place} is full")

    def _filled(self) -> bool:
        found = os.statvfs(self.place)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        try:
            _mount("-o", f"remount,size={max(used, 4096)}", self.place)
        except subprocess.CalledProcessError:  # more was written meanwhile
            return False
        return True

    def empty(self) -> None:
        _mount("-o", f"remount,size={_SIZE}", self.place)


def available() -> bool:
    """Whether we may mount; from then on in a mount namespace of our own, which ends with us."""
    if os.geteuid() != 0:
        return False
    if os.environ.get(_INSIDE) != "yes":
        # Started anew: the mounts are nobody else's, and gone when we are, however we end.
        unshare = find_program("unshare", "util-linux")
        os.environ[_INSIDE] = "yes"
        os.execv(unshare, [unshare, "--mount", "--propagation", "private", *sys.orig_argv])
    return True


def _mount(*words: str | Path) -> None:
    subprocess.run([find_program("mount", "mount"), *map(str, words)], check=True, capture_output=True)
