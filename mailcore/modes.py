"""Who may read our files: their owner alone, or its group, too (FILE_GROUP_READABLE). Others of the machine never.

What we make is made so by the umask. What an earlier version, a `mkdir` or a restored copy left open is closed at the
start; of a directory that others use as well (something open lies there that is none of ours) only what is ours.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from mailcore.media import INCOMING
from mailcore.mime.path import ROOT
from mailcore.settings import Settings

log = structlog.get_logger(__name__)

OWNER_ALONE: Final = 0o077
WITH_GROUP: Final = 0o027
_DATABASE_PARTS: Final = ("", "-wal", "-shm", "-journal")
_SHOWN: Final = 3


@dataclass
class Closed:
    """What was closed, and what could not be, with the system's words."""

    paths: list[Path] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)


def umask(settings: Settings) -> int:
    """What the files of this process may not have. Pure."""
    return WITH_GROUP if settings.file_group_readable else OWNER_ALONE


def keep_private(settings: Settings) -> None:
    """From now on, and what is there already: one log line when something was open."""
    os.umask(umask(settings))
    closed = close(settings)
    if closed.paths:
        log.warning("closed to others", paths=_some(closed.paths), see="FILE_GROUP_READABLE in docs/configuration.md")
    if closed.failed:
        why = next(iter(closed.failed.values()))
        log.warning("open to others, and cannot be closed", paths=_some(list(closed.failed)), error=why)


def close(settings: Settings) -> Closed:
    """Take away what the umask would have."""
    closed, mask = Closed(), umask(settings)
    database = _database(settings)
    # With `.gitkeep` a clone has a media/ to begin with, open as everything that git makes.
    ours = {"up.lock", "nats", "spool", ".gitkeep", ROOT, INCOMING, *(path.name for path in database)}
    for path in database:
        _close(path, mask, closed)
    _close_below(settings.data_dir, ours | {settings.media_root.name}, mask, closed, deep=("nats", "spool"))
    _close_below(settings.media_root, ours, mask, closed)
    return closed


def is_open(path: Path, mask: int = 0o007) -> bool:
    """Whether it is there, and others may do anything with it."""
    try:
        return bool(path.lstat().st_mode & mask) and not path.is_symlink()
    except OSError:
        return False


def _database(settings: Settings) -> tuple[Path, ...]:
    # Not by SQLAlchemy's own words for it: its import costs `mozzart up` a third of its start.
    scheme, _, path = settings.database_url.partition(":///")
    file = path.partition("?")[0]
    if not scheme.startswith("sqlite") or file in ("", ":memory:"):
        return ()
    return tuple(Path(f"{file}{part}") for part in _DATABASE_PARTS)


def _close_below(top: Path, ours: set[str], mask: int, closed: Closed, deep: tuple[str, ...] = ()) -> None:
    """The directory `top` and what of `ours` lies in it; those of `deep` with all that they hold."""
    try:
        entries = list(os.scandir(top))
    except OSError:
        return  # not there yet, or not for us: whoever needs it will say so
    for entry in entries:
        if entry.name in ours:
            _close(Path(entry.path), mask, closed)
        if entry.name in deep:
            for path in _tree(Path(entry.path)):
                _close(path, mask, closed)
    others = [entry for entry in entries if entry.name not in ours and is_open(Path(entry.path))]
    if not others:
        _close(top.resolve(), mask, closed)


def _tree(top: Path) -> Iterator[Path]:
    for directory, directories, files in os.walk(top):
        yield from (Path(directory, name) for name in (*directories, *files))


def _close(path: Path, mask: int, closed: Closed) -> None:
    if not is_open(path, mask):
        return
    try:
        # By its descriptor: a link that comes between would be followed by a path.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, stat.S_IMODE(os.fstat(descriptor).st_mode) & ~mask)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return
    except OSError as error:
        closed.failed[path] = error.strerror or str(error)
        return
    if is_open(path, mask):  # as on a file system that has no modes
        closed.failed[path] = "its file system keeps no modes"
    else:
        closed.paths.append(path)


def _some(paths: list[Path]) -> str:
    more = f" and {len(paths) - _SHOWN:,} more" if len(paths) > _SHOWN else ""
    return ", ".join(str(path) for path in paths[:_SHOWN]) + more
