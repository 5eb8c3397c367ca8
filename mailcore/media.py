"""Files below MEDIA_ROOT: whole and durable, or not there.

1. Bytes go to a temporary file in a directory of this process below MEDIA_ROOT (one file system, so that renaming is
atomic). 2. fsync the file, rename it to its place, fsync the directory: a name that is there has all its bytes, also
after a power cut. 3. A process that was killed leaves its directory behind, unlocked; the next one that starts removes
it. Processes that live hold
   a lock on theirs, so several can share MEDIA_ROOT.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Final, Self, TypeVarTuple
from uuid import uuid4

from mailcore.errors import MozzartError, Retry, Scope

Args = TypeVarTuple("Args")

INCOMING: Final = ".incoming"
# Mail is nobody else's business; the group may be the web server's.
_FILE_MODE: Final = 0o640
_DIRECTORY_MODE: Final = 0o750
# fsyncs that wait together share a journal commit: eight threads do the work of one in half its time.
_THREADS: Final = 8
# Fewer files are not worth a second thread.
_LEAST_SHARE: Final = 3
# What the name is to blame for, not the disk.
_NAME_ERRORS: Final = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL})


class MediaError(MozzartError):
    """MEDIA_ROOT could not take a file: scope PROCESS, retry LATER (full, read-only, gone), or scope MESSAGE, retry
    NEVER (the name is no name)."""


class Media:
    """MEDIA_ROOT as one process sees it; `open` it before use, `close` it after."""

    def __init__(self, root: Path, incoming: Path, lock: int) -> None:
        self.root = root
        self._incoming = incoming
        self._lock = lock
        self._numbers = count(1)
        self._known: set[Path] = set()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="media")

    @classmethod
    def open(cls, root: Path) -> Self:
        """Make what is missing, and remove what killed processes left. Blocks for a moment. Raises MediaError."""
        base = root / INCOMING
        try:
            base.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            for left in base.iterdir():
                _remove_if_abandoned(left)
            incoming, lock = _claim(base)
        except OSError as error:
            raise _media_error(error, root) from None
        return cls(root, incoming, lock)

    def close(self) -> None:
        """Wait for writes that are under way and take the temporary directory away."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self._incoming, ignore_errors=True)
        os.close(self._lock)

    def spool(self) -> Path:
        """The path of a temporary file that nobody else will use; the caller makes it and removes it."""
        return self._incoming / f"{next(self._numbers)}.part"

    def path(self, file: str | PurePosixPath) -> Path:
        """Where `file`, relative to MEDIA_ROOT, lies. Raises MediaError when it would lie elsewhere."""
        parts = PurePosixPath(file).parts
        if not parts or ".." in parts or parts[0] in ("/", "//", INCOMING) or any("\0" in part for part in parts):
            raise MediaError(
                f"not a path below MEDIA_ROOT: {str(file)[:200]!r}", scope=Scope.MESSAGE, retry=Retry.NEVER
            )
        return self.root.joinpath(*parts)

    async def write(self, files: Sequence[tuple[PurePosixPath, bytes]]) -> None:
        """All are durable when it returns; a file that was there is replaced. Raises MediaError: then any of them may
        be there, each whole. Repeating it is right."""
        if not files:
            return
        targets = [(self.path(file), content) for file, content in files]
        parents = {target.parent for target, _ in targets}
        share = max(-(-len(targets) // _THREADS), _LEAST_SHARE)
        shares = [targets[start : start + share] for start in range(0, len(targets), share)]
        try:
            if not parents <= self._known:
                await self._in_thread(self._make_directories, parents)
            if len(shares) == 1:
                await self._in_thread(self._write_share, targets, parents)
                return
            # Every share is awaited, also when one fails: nobody writes behind the back of a caller who tries again.
            ends = await asyncio.gather(
                *(self._in_thread(self._write_share, each) for each in shares), return_exceptions=True
            )
            for end in ends:
                if isinstance(end, BaseException):
                    raise end
            await self._in_thread(_sync_directories, parents)
        except OSError as error:
            self._recover()
            raise _media_error(error, self.root) from None

    async def remove(self, files: Iterable[str]) -> None:
        """None of these is there when it returns, nor after a power cut. Raises MediaError; repeating it is right."""
        targets = [self.path(file) for file in files]
        try:
            await self._in_thread(_remove_durably, targets)
        except OSError as error:
            raise _media_error(error, self.root) from None

    def _in_thread(self, work: Callable[[*Args], None], *args: *Args) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def _recover(self) -> None:
        """Somebody may have removed directories that we made: the next attempt makes them again."""
        self._known.clear()
        if not self._incoming.is_dir():
            with suppress(OSError):
                incoming, lock = _claim(self.root / INCOMING)
                os.close(self._lock)
                self._incoming, self._lock = incoming, lock

    def _write_share(self, share: Sequence[tuple[Path, bytes]], parents: Iterable[Path] = ()) -> None:
        for target, content in share:
            temporary = self.spool()
            try:
                _write_durably(temporary, content)
                temporary.replace(target)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
        _sync_directories(parents)

    def _make_directories(self, directories: Iterable[Path]) -> None:
        for directory in directories:
            missing = [directory]
            while not missing[-1].parent.is_dir():
                missing.append(missing[-1].parent)
            for each in reversed(missing):
                each.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
                # Its name is in its parent: without this a power cut could take the whole day's directory.
                _sync_directories([each.parent])
            self._known.add(directory)


def _write_durably(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_durably(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
    # Also where none was there: a process that died may have removed it and not come to this.
    _sync_directories({path.parent for path in paths if path.parent.is_dir()})


def _sync_directories(directories: Iterable[Path]) -> None:
    for directory in directories:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _claim(base: Path) -> tuple[Path, int]:
    """A new directory and the descriptor that holds its lock."""
    while True:
        incoming = base / f"{os.getpid()}-{uuid4().hex[:12]}"
        incoming.mkdir(mode=_DIRECTORY_MODE, parents=True)
        # Between mkdir and flock it looks abandoned, and another process that starts may remove it.
        try:
            handle = os.open(incoming, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        fcntl.flock(handle, fcntl.LOCK_EX)
        if incoming.is_dir():
            return incoming, handle
        os.close(handle)


def claimed(root: Path) -> bool:
    """Whether a process lives that writes below this MEDIA_ROOT."""
    try:
        return not all(_if_abandoned(each, lambda: None) for each in (root / INCOMING).iterdir())
    except OSError:
        return False


def _remove_if_abandoned(directory: Path) -> None:
    _if_abandoned(directory, lambda: shutil.rmtree(directory, ignore_errors=True))


def _if_abandoned(directory: Path, work: Callable[[], None]) -> bool:
    """False when a living process holds it; else True, and `work` was done if it is there."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        work()
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def _media_error(error: OSError, root: Path) -> MediaError:
    said = f"cannot write below MEDIA_ROOT {root}: {error.strerror or error}"
    if error.errno in _NAME_ERRORS:
        return MediaError(said, scope=Scope.MESSAGE, retry=Retry.NEVER)
    return MediaError(f"{said}; free or mend the disk, storing goes on by itself")
