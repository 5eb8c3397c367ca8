"""What `ps` shows of a process that was forked and not executed: without this, the words of whoever forked it."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path


def set_title(*words: str) -> None:
    """The command line of this process from now on, cut to the room that its first one took; on Linux only."""
    if sys.platform != "linux":
        return
    # proc(5): of the fields after the name, which may hold anything, arg_start and arg_end are the 46th and 47th.
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    room = end - start
    if start == 0 or room < 2:  # the kernel does not tell everybody
        return
    title = b"\0".join(word.encode() for word in words)[: room - 1]
    # A last byte that is not NUL would tell the kernel to read on, into the environment.
    ctypes.memmove(start, title.ljust(room, b"\0"), room)
