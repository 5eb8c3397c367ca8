"""Files below MEDIA_ROOT: whole and durable, or not there; never outside, whatever links lie there
(mailcore/descent.py).

1. Bytes go to a temporary file in a directory of this process below MEDIA_ROOT (one file system, so that renaming is
atomic). 2. fsync the file, rename it to its place, fsync the directory: a name that is there has all its bytes, also
after a power cut. 3. A process that was killed leaves its directory behind, unlocked; the next one that starts removes
it. Processes that live hold a lock on theirs, so several can share MEDIA_ROOT.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count, groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Final, Protocol, Self, TypeVarTuple
from uuid import uuid4

from mailcore.descent import InTheWay, directory, enter, in_the_way, parts_of
from mailcore.errors import MozzartError, Retry, Scope, SettingsError

Args = TypeVarTuple("Args")
Parts = tuple[str, ...]

INCOMING: Final = ".incoming"
# Mail is nobody else's business; the group may be the web server's.
_FILE_MODE: Final = 0o640
_DIRECTORY_MODE: Final = 0o750
# fsyncs that wait together share a journal commit: eight threads do the work of one in half its time.
# One syncfs() for a batch is no quicker than they are, and waits for what others wrote to that file system, too.
_THREADS: Final = 8
# Fewer files are not worth a second thread.
_LEAST_SHARE: Final = 3
_BLOCK: Final = 1 << 20
# What the name is to blame for, not the disk.
_NAME_ERRORS: Final = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL})


# What only a person can mend, where it is MEDIA_ROOT itself: a disk that comes back is none of it.
_WRONG: Final = frozenset({errno.EEXIST, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENAMETOOLONG})


class Content(Protocol):
    """What a file is to hold and memory need not."""

    @property
    def size(self) -> int: ...

    def blocks(self) -> Iterator[bytes]:
        """All of it, in order, each time anew. Raises OSError."""


class MediaError(MozzartError):
    """MEDIA_ROOT could not take a file: scope PROCESS, retry LATER (full, read-only, gone), scope MESSAGE, retry LATER
    (something else lies where one of its directories or it must be), or retry NEVER (the name is no name)."""


class Media:
    """MEDIA_ROOT as one process sees it; `open` it before use, `close` it after."""

    def __init__(self, root: Path, incoming: _Incoming) -> None:
        self.root = root
        self._incoming = incoming
        self._numbers = count(1)
        self._durable: set[Parts] = set()  # directories whose names are on disk
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="media")

    @classmethod
    def open(cls, root: Path) -> Self:
        """Make what is missing, and remove what killed processes left. Blocks for a moment. Raises MediaError, and
        SettingsError for a `root` that only a person can mend."""
        try:
            root.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            if not os.access(root, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            if error.errno not in _WRONG:
                raise _media_error(error, root) from None
            raise SettingsError(
                f"MEDIA_ROOT {root} cannot be used ({error.strerror}); make it a directory that this user may write, "
                "or set another MEDIA_ROOT."
            ) from None
        try:
            with _make_base(root) as base:
                for left in os.listdir(base):  # noqa: PTH208 - a descriptor has no Path
                    _remove_if_abandoned(base, left)
            incoming = _claim(root)
        except OSError as error:
            raise _media_error(error, root) from None
        return cls(root, incoming)

    def close(self) -> None:
        """Wait for writes that are under way and take the temporary directory away."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        with suppress(OSError), directory(self.root, (INCOMING,)) as base:
            shutil.rmtree(self._incoming.name, ignore_errors=True, dir_fd=base)
        os.close(self._incoming.descriptor)

    def spool(self) -> Path:
        """The path of a temporary file that nobody else will use; the caller makes it and removes it. Raises MediaError
        when the directory of those is not the one that we made."""
        try:
            with directory(self.root, (INCOMING, self._incoming.name)) as found:
                same = os.path.sameopenfile(found, self._incoming.descriptor)
        except OSError as error:
            self._recover()
            raise _media_error(error, self.root) from None
        if not same:
            self._recover()
        return self.root / INCOMING / self._incoming.name / f"{next(self._numbers)}.part"

    def path(self, file: str | PurePosixPath) -> Path:
        """Where `file`, relative to MEDIA_ROOT, lies. Raises MediaError when it would lie elsewhere."""
        return self.root.joinpath(*_parts(file))

    async def write(
        self,
        files: Sequence[tuple[PurePosixPath, bytes | Content]],
        sources: Mapping[PurePosixPath, PurePosixPath] = MappingProxyType({}),
    ) -> None:
        """All are durable when it returns; a file that was there is replaced. One that has a source becomes a hard link
        to it, if the source has its bytes and the file system has links. Raises MediaError: then any of them may be
        there, each whole. Repeating it is right."""
        if not files:
            return
        # Each directory is opened once for its neighbours.
        targets = sorted(
            ((_parts(file), content, _source(sources.get(file))) for file, content in files), key=itemgetter(0)
        )
        parents = {parts[:-1] for parts, _, _ in targets}
        share = max(-(-len(targets) // _THREADS), _LEAST_SHARE)
        shares = [targets[start : start + share] for start in range(0, len(targets), share)]
        try:
            if not parents <= self._durable:
                await self._in_thread(self._make_directories, parents)
            if len(shares) == 1:
                await self._in_thread(self._write_share, targets, True)
                return
            # Every share is awaited, also when one fails: nobody writes behind the back of a caller who tries again.
            ends = await asyncio.gather(
                *(self._in_thread(self._write_share, each, False) for each in shares), return_exceptions=True
            )
            for end in ends:
                if isinstance(end, BaseException):
                    raise end
            await self._in_thread(self._sync_directories, parents)
        except OSError as error:
            self._recover()
            raise _media_error(error, self.root) from None

    async def remove(self, files: Iterable[str]) -> None:
        """None of these is there when it returns, nor after a power cut. Raises MediaError; repeating it is right."""
        targets = sorted(_parts(file) for file in files)
        try:
            await self._in_thread(self._remove_durably, targets)
        except OSError as error:
            raise _media_error(error, self.root) from None

    def _in_thread(self, work: Callable[[*Args], None], *args: *Args) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def _recover(self) -> None:
        """Somebody may have removed directories that we made: the next attempt makes them again."""
        self._durable.clear()
        with suppress(OSError):
            try:
                with directory(self.root, (INCOMING, self._incoming.name)) as found:
                    if os.path.sameopenfile(found, self._incoming.descriptor):
                        return
            except FileNotFoundError:
                pass
            before, self._incoming = self._incoming, _claim(self.root)
            os.close(before.descriptor)

    def _write_share(self, share: Sequence[tuple[Parts, bytes | Content, Parts]], sync: bool) -> None:
        for above, targets in groupby(share, key=lambda target: target[0][:-1]):
            with directory(self.root, above) as parent:
                for parts, content, source in targets:
                    if not (source and self._link_file(parent, parts, content, source)):
                        self._write_file(parent, parts, content)
                if sync:
                    os.fsync(parent)

    def _write_file(self, parent: int, parts: Parts, content: bytes | Content) -> None:
        incoming, temporary = self._incoming.descriptor, f"{next(self._numbers)}.part"
        try:
            _write_durably(incoming, temporary, content)
            # It takes the place of whatever has that name, also of a link, and follows none.
            os.rename(temporary, parts[-1], src_dir_fd=incoming, dst_dir_fd=parent)
        except OSError as error:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=incoming)
            if isinstance(error, IsADirectoryError):
                raise in_the_way(self.root.joinpath(*parts), "a directory", "a file") from None
            raise

    def _link_file(self, parent: int, parts: Parts, content: bytes | Content, source: Parts) -> bool:
        """False: it is to be written. The bytes are compared where nobody else takes them away."""
        incoming, temporary = self._incoming.descriptor, f"{next(self._numbers)}.part"
        try:
            with directory(self.root, source[:-1]) as above:
                os.link(source[-1], temporary, src_dir_fd=above, dst_dir_fd=incoming, follow_symlinks=False)
            try:
                if not _holds(incoming, temporary, content):
                    return False
                os.rename(temporary, parts[-1], src_dir_fd=incoming, dst_dir_fd=parent)
            finally:
                # POSIX rename() leaves both names where they are those of one file.
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=incoming)
        except OSError:  # not there, too many links, no links here: writing it says what is wrong
            return False
        return True

    def _make_directories(self, wanted: Iterable[Parts]) -> None:
        for parts in sorted(wanted):
            root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with ExitStack() as opened:
                opened.callback(os.close, root)
                above = root
                for depth, name in enumerate(parts, 1):
                    here = parts[:depth]
                    with suppress(FileExistsError):
                        if here not in self._durable:
                            os.mkdir(name, _DIRECTORY_MODE, dir_fd=above)
                    below = enter(above, name, self.root.joinpath(*here))
                    opened.callback(os.close, below)
                    if here not in self._durable:
                        # Its name is in the one above: without this a power cut could take the whole day's directory.
                        os.fsync(above)
                        self._durable.add(here)
                    above = below

    def _sync_directories(self, wanted: Iterable[Parts]) -> None:
        for parts in wanted:
            with directory(self.root, parts) as found:
                os.fsync(found)

    def _remove_durably(self, targets: Sequence[Parts]) -> None:
        for above, group in groupby(targets, key=lambda parts: parts[:-1]):
            # Nothing there: gone with its directory.
            with suppress(FileNotFoundError), directory(self.root, above) as parent:
                for parts in group:
                    with suppress(FileNotFoundError):
                        os.unlink(parts[-1], dir_fd=parent)
                # Also where none was there: a process that died may have removed it and not come to this.
                os.fsync(parent)


def _parts(file: str | PurePosixPath) -> Parts:
    try:
        return parts_of(file)
    except ValueError as error:
        raise MediaError(str(error), scope=Scope.MESSAGE, retry=Retry.NEVER) from None


def _source(file: PurePosixPath | None) -> Parts:
    """() for none."""
    return () if file is None else _parts(file)


def _blocks(content: bytes | Content) -> Iterator[bytes]:
    return iter((content,)) if isinstance(content, bytes) else content.blocks()


def _holds(parent: int, name: str, content: bytes | Content) -> bool:
    """Whether the file has these bytes, durably: whoever put it there may not have waited for the disk."""
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        size = len(content) if isinstance(content, bytes) else content.size
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            return False
        for block in _blocks(content):
            rest = memoryview(block)
            while rest:
                there = file.read(min(_BLOCK, len(rest)))
                if not there or there != rest[: len(there)]:
                    return False
                rest = rest[len(there) :]
        os.fsync(handle)
    return True


def _write_durably(parent: int, name: str, content: bytes | Content) -> None:
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE, dir_fd=parent)
    try:
        for block in _blocks(content):
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class _Incoming:
    """The directory of our temporary files; `descriptor` holds its lock."""

    name: str
    descriptor: int


@contextmanager
def _make_base(root: Path) -> Iterator[int]:
    """The descriptor of the directory in which each process has one for its temporary files."""
    with directory(root) as top, suppress(FileExistsError):
        os.mkdir(INCOMING, _DIRECTORY_MODE, dir_fd=top)
    with directory(root, (INCOMING,)) as base:
        yield base


def _claim(root: Path) -> _Incoming:
    """Make the directory of our temporary files, and lock it."""
    while True:
        name = f"{os.getpid()}-{uuid4().hex[:12]}"
        root.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        with _make_base(root) as base:
            os.mkdir(name, _DIRECTORY_MODE, dir_fd=base)
            # Between mkdir and flock it looks abandoned, and another process that starts may remove it.
            try:
                handle = enter(base, name, root / INCOMING / name)
            except FileNotFoundError:
                continue
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_there(base, name):
                return _Incoming(name, handle)
            os.close(handle)


def _is_there(parent: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def claimed(root: Path) -> bool:
    """Whether a process lives that writes below this MEDIA_ROOT."""
    try:
        with directory(root, (INCOMING,)) as base:
            return not all(_if_abandoned(base, each, lambda: None) for each in os.listdir(base))  # noqa: PTH208 - a descriptor has no Path
    except OSError:
        return False


def _remove_if_abandoned(base: int, name: str) -> None:
    _if_abandoned(base, name, lambda: shutil.rmtree(name, ignore_errors=True, dir_fd=base))


def _if_abandoned(base: int, name: str, work: Callable[[], None]) -> bool:
    """False when a living process holds it; else True, and `work` was done if it is a directory that is there."""
    try:
        handle = enter(base, name, Path(name))
    except (FileNotFoundError, InTheWay):
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
    if isinstance(error, InTheWay):
        said = f"cannot write below MEDIA_ROOT {root}: {error.filename} {error.strerror}; storing goes on by itself"
        # What lies at the top is in everybody's way; what lies deeper, in that of one day's mail.
        above = Path(error.filename).parent
        return MediaError(said, scope=Scope.PROCESS if above == root else Scope.MESSAGE)
    said = f"cannot write below MEDIA_ROOT {root}: {error.strerror or error}"
    if error.errno in _NAME_ERRORS:
        return MediaError(said, scope=Scope.MESSAGE, retry=Retry.NEVER)
    return MediaError(f"{said}; free or mend the disk, storing goes on by itself")
