"""`mozzart backup`: one state of the database, and the files that its rows name, while everything runs.

The database first, then the files. A consumer commits a row only after the row's files are durable, and no file is ever
removed or changed: its path follows from the message's identity alone, and a redelivery replaces it by the same bytes.
So whatever a row of the snapshot names is there when the snapshot is taken and stays there while it is copied: no row
of the backup lacks its files. The other way round, a message stored between the two would have its row in the backup
and its files not. Files of messages stored after the snapshot are left out: their rows are not in it, and after a
restore the sweep finds those messages missing.

The stream is not part of it. What is on its way when the backup is made is on the server, not in the database: missing,
as far as the sweep is concerned.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

from sqlalchemy import URL

from cli.backup.archive import DATABASE, MANIFEST, MEDIA, SUMS, BackupError, Writer, writer
from cli.backup.manifest import Manifest, write_sums
from cli.backup.progress import Steps
from mailcore.descent import open_file
from mailcore.settings import Settings
from mailcore.store import snapshot
from mailcore.store.attachments import StoredFile
from mailcore.store.engine import parse_url

_POSTGRES: Final = (
    "DATABASE_URL is PostgreSQL, which has tools of its own for this: pg_dump first, then a copy of MEDIA_ROOT, in "
    "this order; docs/operations.md (Backup) has the commands."
)


def database_path(settings: Settings) -> Path:
    """The file of the SQLite database. Raises BackupError for another one."""
    url: URL = parse_url(settings.database_url)
    if url.get_backend_name() != "sqlite":
        raise BackupError(_POSTGRES)
    if url.database in (None, "", ":memory:"):
        raise BackupError("DATABASE_URL is a database in memory; there is nothing to keep.")
    return Path(str(url.database))


def take(settings: Settings, target: Path) -> Manifest:
    """Make the backup `target`; what it is. Nothing is left of one that fails. Raises BackupError, StoreError."""
    database = database_path(settings)
    if not database.is_file():
        raise BackupError(f"There is no database {database} yet; nothing to keep.")
    into = writer(target)
    try:
        with Steps() as steps:
            return _fill(into, database, settings.media_root, steps)
    except OSError as error:
        into.discard()
        raise BackupError(f"the backup {target} was not made: {error.strerror or error}") from None
    except BaseException:  # Ctrl-C, too, leaves no half backup
        into.discard()
        raise


def _fill(into: Writer, database: Path, media: Path, steps: Steps) -> Manifest:
    sums: dict[str, str] = {}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix=".mozzart-", dir=into.scratch)))
        copy = scratch / DATABASE
        steps.begin("database")
        made_at = datetime.now(UTC)
        snapshot.take(database, copy, lambda done, total: steps.reached(done << 12, total << 12))
        found = snapshot.contents(copy)
        octets = copy.stat().st_size
        _need_space(into.scratch, found.size)
        sums[DATABASE] = into.adopt(DATABASE, copy)
        rows = copy if copy.exists() else into.scratch / DATABASE
        steps.begin("attachments", found.size)
        lost = _add_files(into, snapshot.files(rows), media, sums, steps)
    text = write_sums(sums)
    into.add(SUMS, io.BytesIO(text), len(text))
    manifest = Manifest(
        program=importlib.metadata.version("mozzart-mailbox-sync"),
        made_at=made_at,
        revision=found.revision,
        messages=found.messages,
        files=len(sums) - 1,
        bytes=octets + found.size,
        lost=tuple(lost),
        sums=hashlib.sha256(text).hexdigest(),
    )
    steps.begin("to disk")
    into.finish(MANIFEST, manifest.model_dump_json(indent=1).encode() + b"\n")
    return manifest


def _add_files(into: Writer, rows: Iterable[StoredFile], media: Path, sums: dict[str, str], steps: Steps) -> list[str]:
    """Those that are missing or are not what their rows say."""
    lost = []
    for row in rows:
        name = f"{MEDIA}/{row.file}"
        if name not in sums and not _add_file(into, name, row, media, sums):
            lost.append(row.file)
        steps.advance(row.size)
    return lost


def _add_file(into: Writer, name: str, row: StoredFile, media: Path, sums: dict[str, str]) -> bool:
    if str(PurePosixPath(row.file)) != row.file:
        return False
    try:
        source = open_file(media, row.file)
    except (OSError, ValueError):
        return False
    with source:
        if source.seek(0, io.SEEK_END) != row.size:
            return False
        source.seek(0)
        digest = into.add(name, source, row.size)
    if digest != row.sha256:
        return False
    sums[name] = digest
    return True


def _need_space(where: Path, octets: int) -> None:
    free = shutil.disk_usage(where).free
    if free < octets:
        raise BackupError(f"{where} has {free:,} bytes free; the backup needs {octets:,} more.")
