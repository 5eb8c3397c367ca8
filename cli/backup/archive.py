"""Where a backup lies: a directory or a tar file with the same names in it.

mozzart.db        the database, one file
media/…           the attachments, as below MEDIA_ROOT
SHA256SUMS        of all of those, as sha256sum writes and checks it
manifest.json     what it is, with the checksum of SHA256SUMS; written last, so that what is cut off has none
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, Protocol, cast

from mailcore.errors import MozzartError, Retry

DATABASE: Final = "mozzart.db"
MEDIA: Final = "media"
SUMS: Final = "SHA256SUMS"
MANIFEST: Final = "manifest.json"

_BLOCK: Final = 1 << 20
# Mail is nobody else's business.
_FILE_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700


class BackupError(MozzartError):
    """The backup cannot be made, read or used; only a person can mend it."""

    retry = Retry.NEVER


class Writer(Protocol):
    """A backup that grows. `scratch` is where the database can be put before it is added."""

    scratch: Path

    def add(self, name: str, source: BinaryIO, size: int) -> str:
        """Take `size` bytes of `source` as the file `name`; their SHA-256 in hexadecimal digits. Raises OSError."""

    def adopt(self, name: str, source: Path) -> str:
        """The same of a whole file, which may be moved; it lies below `scratch`."""

    def finish(self, name: str, last: bytes) -> None:
        """The last file of all; everything is on disk before that one tells of it."""

    def discard(self) -> None:
        """Nothing of it is left."""


class Reader(Protocol):
    """A backup that is there. Raises OSError and, for what is not in it, KeyError."""

    def open(self, name: str) -> BinaryIO: ...


def writer(path: Path) -> Writer:
    """A new backup at `path`: a tar file if it ends so, else a directory. Raises BackupError where something is."""
    if path.suffix == ".tar":
        return _TarWriter(path)
    return _DirectoryWriter(path)


@contextmanager
def reader(path: Path) -> Iterator[Reader]:
    """Raises BackupError where there is no backup."""
    if path.is_dir():
        yield _DirectoryReader(path)
        return
    try:
        with tarfile.open(path, "r:") as archive:
            yield _TarReader(archive)
    except (OSError, tarfile.TarError) as error:
        raise BackupError(f"{path} is no backup that can be read: {error}") from None


class _DirectoryWriter:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise BackupError(f"{path} is not empty; nothing is overwritten. Name a new directory.")
        except OSError as error:
            raise BackupError(f"{path} cannot be used for a backup: {error.strerror}") from None
        self.scratch = path
        self._made: list[Path] = []
        self._directories = {path: None}  # in the order of their making

    def add(self, name: str, source: BinaryIO, size: int) -> str:
        target = self._path.joinpath(*PurePosixPath(name).parts)
        self._make_directory(target.parent)
        self._made.append(target)
        with _create(target) as file:
            return _copy(source, file, size)

    def _make_directory(self, path: Path) -> None:
        if path not in self._directories:
            self._make_directory(path.parent)
            path.mkdir(mode=_DIRECTORY_MODE)
            self._directories[path] = None

    def adopt(self, name: str, source: Path) -> str:
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._made.append(self._path / name)
        source.chmod(_FILE_MODE)
        source.rename(self._made[-1])
        return digest

    def finish(self, name: str, last: bytes) -> None:
        # One call for all instead of an fsync for each: a backup is read when it is whole, or not at all.
        os.sync()
        self.add(name, io.BytesIO(last), len(last))
        os.sync()

    def discard(self) -> None:
        for path in self._made:
            path.unlink(missing_ok=True)
        for directory in [*self._directories][:0:-1]:
            directory.rmdir()


class _TarWriter:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f"{path.name}.partial")
        self.scratch = path.parent
        if path.exists() or path.is_symlink():
            raise BackupError(f"{path} is there already; nothing is overwritten. Name a new file.")
        try:
            path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            self._partial.unlink(missing_ok=True)
            self._file = _create(self._partial)
        except OSError as error:
            raise BackupError(f"{path} cannot be used for a backup: {error.strerror}") from None
        self._archive = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed in `finish` or `discard`

    def add(self, name: str, source: BinaryIO, size: int) -> str:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size, _FILE_MODE
        hashing = _Hashing(source)
        self._archive.addfile(entry, hashing)
        return hashing.digest.hexdigest()

    def adopt(self, name: str, source: Path) -> str:
        with source.open("rb") as file:
            return self.add(name, file, source.stat().st_size)

    def finish(self, name: str, last: bytes) -> None:
        self.add(name, io.BytesIO(last), len(last))
        self._archive.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.rename(self._path)
        os.sync()

    def discard(self) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)


class _Hashing:
    """What tarfile reads from, hashed on its way."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._source.read(size)
        self.digest.update(block)
        return block


class _DirectoryReader:
    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, name: str) -> BinaryIO:
        return self._path.joinpath(*PurePosixPath(name).parts).open("rb")


class _TarReader:
    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        # Once: tarfile looks through all of them for each name.
        self._entries = {entry.name: entry for entry in archive if entry.isreg()}

    def open(self, name: str) -> BinaryIO:
        file = self._archive.extractfile(self._entries[name])
        assert file is not None, "a regular file has content"
        return cast(BinaryIO, file)


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE), "wb")


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> str:
    digest = hashlib.sha256()
    while size and (block := source.read(min(_BLOCK, size))):
        digest.update(block)
        target.write(block)
        size -= len(block)
    if size:
        raise OSError(f"the file ended {size} bytes early")
    return digest.hexdigest()
