"""Files below MEDIA_ROOT, reached from directory to directory by descriptors: no symbolic link is ever followed.

Only the root itself may be one. Whatever is renamed or replaced meanwhile, what is opened lay below the root.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Final

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A pipe must not hold up whoever opens it.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class InTheWay(OSError):
    """Something lies there that is neither a file nor a directory, or a file where a directory must be, or the other
    way round. `filename` is where, `strerror` says what it is and what to do."""


def parts_of(file: str | PurePosixPath) -> tuple[str, ...]:
    """The names on the way to `file`, which is relative to a root. Raises ValueError when it would lie elsewhere, or
    where our own temporary files do (a first name with a dot). Pure."""
    parts = PurePosixPath(file).parts
    if not parts or ".." in parts or parts[0].startswith(("/", ".")) or "\0" in str(file):
        raise ValueError(f"not a path below MEDIA_ROOT: {str(file)[:200]!r}")
    return parts


def enter(directory: int, name: str, place: Path) -> int:
    """The descriptor of the directory `name` in `directory`; `place` is its path, for the words of an error. Raises
    InTheWay, OSError."""
    try:
        return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise in_the_way(place, _kind(directory, name), "a directory") from None


@contextmanager
def directory(root: Path, parts: Sequence[str] = ()) -> Iterator[int]:
    """The descriptor of the directory that `parts` lead to, closed afterwards. Raises InTheWay, OSError."""
    found, place = os.open(root, _DIRECTORY), root
    try:
        for name in parts:
            place = place / name
            above, found = found, enter(found, name, place)
            os.close(above)
        yield found
    finally:
        os.close(found)


def open_file(root: Path, file: str | PurePosixPath) -> BufferedReader:
    """Open a regular file for reading. Raises ValueError for what is no path below `root`, InTheWay,
    OSError."""
    *above, name = parts_of(file)
    with directory(root, above) as parent:
        place = root.joinpath(*above, name)
        try:
            descriptor = os.open(name, _FILE, dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO):  # a link, a socket
                raise
            raise in_the_way(place, _kind(parent, name), "a file") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise in_the_way(place, _word(mode), "a file")
    return os.fdopen(descriptor, "rb")


def in_the_way(place: Path, kind: str, wanted: str) -> InTheWay:
    """At `place` lies a `kind`, not `wanted`."""
    never = ", and none is followed there" if kind == _LINK else ""
    return InTheWay(errno.ENOTDIR, f"is {kind}{never}; {wanted} belongs there: move it away", str(place))


_LINK: Final = "a symbolic link"
_KINDS: Final = (
    (stat.S_ISLNK, _LINK),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISREG, "a file"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def _word(mode: int) -> str:
    return next((word for is_one, word in _KINDS if is_one(mode)), "a device")


def _kind(directory: int, name: str) -> str:
    try:
        return _word(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except OSError:
        return "something that was just replaced"
