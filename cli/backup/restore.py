"""`mozzart restore`: a backup becomes an installation that is ready to start.

1. Nothing of ours may run, and nothing is overwritten: a database with tables refuses, and so does a file below
MEDIA_ROOT with other bytes than the backup's; one with the same bytes is taken as it is. 2. Every checksum is compared
before anything is written. 3. The files first, then the database, by one rename: a restore that was cut off left no
database and can be repeated.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

from cli.backup.archive import DATABASE, MANIFEST, MEDIA, SUMS, BackupError, Reader, reader
from cli.backup.create import database_path
from cli.backup.manifest import Manifest, read_manifest, read_sums
from cli.backup.progress import Steps
from cli.process import run_asyncio
from mailcore import metrics
from mailcore.bus import Bus
from mailcore.descent import open_file
from mailcore.errors import BusError, SettingsError
from mailcore.media import Media, claimed
from mailcore.settings import Settings
from mailcore.store import migration, snapshot
from supervisor.data_lock import AlreadyRunning, DataLock

_BLOCK: Final = 1 << 20
# What is held in memory between two writes.
_BATCH: Final = 16 << 20
_ANSWER_WITHIN: Final = 3.0
_SHOWN: Final = 5
_READING: Final = (OSError, KeyError)


def check(source: Path) -> Manifest:
    """Compare every checksum, change nothing. Raises BackupError."""
    with Steps() as steps, reader(source) as backup:
        manifest, sums = _read(backup, source)
        _compare(backup, sums, manifest, steps)
    return manifest


def restore(settings: Settings, source: Path) -> Manifest:
    """Raises BackupError, MediaError, AlreadyRunning; then nothing is there that was not, but perhaps files of the
    backup."""
    database = database_path(settings)
    with DataLock(settings.data_dir), Steps() as steps, reader(source) as backup:
        _need_silence(settings)
        _need_room_for(database)
        manifest, sums = _read(backup, source)
        _need_revision(manifest)
        _compare(backup, sums, manifest, steps)
        wanted = _absent(settings.media_root, sums)
        steps.begin("attachments", manifest.bytes)
        run_asyncio(_write_files(backup, settings.media_root, wanted, steps))
        steps.begin("database")
        _write_database(backup, database, sums[DATABASE])
    return manifest


def _need_silence(settings: Settings) -> None:
    """A consumer alone holds its lock below MEDIA_ROOT; others tell when they are asked."""
    running = ["a consumer"] if claimed(settings.media_root) else []
    with suppress(SettingsError, BusError):
        running += run_asyncio(_processes(settings.with_nats_url().nats_url))
    if running:
        raise AlreadyRunning(
            f"{', '.join(dict.fromkeys(running))}: still running. Stop every process of ours first, then restore."
        )


async def _processes(url: str) -> list[str]:
    bus = await Bus.connect(url, name="restore", connect_timeout=_ANSWER_WITHIN)
    try:
        names = {metrics.process_of(answer) for answer in await metrics.collect(bus)}
    finally:
        await bus.close()
    return [f"a {name} of this NATS server" for name in sorted(names & {"syncer", "consumer", "api", "webhook"})]


def _need_room_for(database: Path) -> None:
    # A blank one is what `mozzart doctor` makes by looking; it goes when the restored one is renamed into its place.
    if database.exists() and not snapshot.is_blank(database):
        raise BackupError(
            f"{database} is there and has tables; nothing is overwritten. Move it away, or set another DATA_DIR."
        )
    for suffix in ("-wal", "-journal"):
        left = database.with_name(database.name + suffix)
        if left.exists() and left.stat().st_size:
            raise BackupError(
                f"{left} is left of another database, which would be mixed into the restored one. Move it away."
            )
        left.unlink(missing_ok=True)


def _need_revision(manifest: Manifest) -> None:
    if migration.is_later(manifest.revision):
        raise BackupError(
            f"The backup is of a later version ({manifest.program}, tables {manifest.revision}) than this one "
            f"(tables {migration.newest()}); restore with that version."
        )


def _read(backup: Reader, source: Path) -> tuple[Manifest, dict[str, str]]:
    try:
        with backup.open(MANIFEST) as file:
            manifest = read_manifest(file.read())
        with backup.open(SUMS) as file:
            text = file.read()
    except _READING:
        raise BackupError(
            f"{source} is no whole backup: it has no {MANIFEST} (what is cut off has none) or no {SUMS}."
        ) from None
    if hashlib.sha256(text).hexdigest() != manifest.sums:
        raise BackupError(f"{source}: {SUMS} was changed since the backup was made.")
    return manifest, read_sums(text)


def _compare(backup: Reader, sums: Mapping[str, str], manifest: Manifest, steps: Steps) -> None:
    steps.begin("checksums", manifest.bytes)
    wrong = []
    for name, digest in sums.items():
        try:
            with backup.open(name) as file:
                hashing = hashlib.sha256()
                while block := file.read(_BLOCK):
                    hashing.update(block)
                    steps.advance(len(block))
        except _READING:
            wrong.append(f"{name} (missing or not readable)")
        else:
            if hashing.hexdigest() != digest:
                wrong.append(f"{name} (changed)")
    if wrong:
        raise BackupError(f"The backup is damaged, nothing was restored: {_some(wrong)}.")


def _absent(root: Path, sums: Mapping[str, str]) -> dict[str, str]:
    """The files that are to be written. Raises BackupError when one would be overwritten."""
    wanted, other = {}, []
    for name, digest in sums.items():
        if name == DATABASE:
            continue
        file_name = PurePosixPath(name).relative_to(MEDIA)
        path = root / file_name
        try:
            with open_file(root, file_name) as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == digest
        except FileNotFoundError:
            wanted[name] = digest
        except OSError as error:
            raise BackupError(f"{error.filename or path}: {error.strerror}") from None
        except ValueError as error:
            raise BackupError(f"{name}: {error}") from None
        else:
            if not same:
                other.append(str(path))
    if other:
        raise BackupError(
            f"Files are there with other bytes than the backup's; nothing is overwritten: {_some(other)}."
        )
    return wanted


async def _write_files(backup: Reader, root: Path, wanted: Mapping[str, str], steps: Steps) -> None:
    media = Media.open(root)
    try:
        for batch in _batches(backup, wanted):
            await media.write(batch)
            steps.advance(sum(len(content) for _, content in batch))
    finally:
        media.close()


def _batches(backup: Reader, wanted: Mapping[str, str]) -> Iterator[list[tuple[PurePosixPath, bytes]]]:
    batch: list[tuple[PurePosixPath, bytes]] = []
    octets = 0
    for name, digest in wanted.items():
        with backup.open(name) as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != digest:
            raise BackupError(f"{name} was changed while it was restored.")
        batch.append((PurePosixPath(name).relative_to(MEDIA), content))
        octets += len(content)
        if octets >= _BATCH or len(batch) >= 200:
            yield batch
            batch, octets = [], 0
    if batch:
        yield batch


def _write_database(backup: Reader, database: Path, digest: str) -> None:
    partial = database.with_name(f".{database.name}.restoring")
    hashing = hashlib.sha256()
    try:
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        with os.fdopen(handle, "wb") as target, backup.open(DATABASE) as source:
            while block := source.read(_BLOCK):
                hashing.update(block)
                target.write(block)
            target.flush()
            os.fsync(handle)
        if hashing.hexdigest() != digest:
            raise BackupError("the database was changed while it was restored.")
        partial.rename(database)
        directory = os.open(database.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fsync(directory)
        os.close(directory)
    except OSError as error:
        raise BackupError(f"{database} cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
