"""Backups are whole or none, and a restore overwrites nothing and takes nothing that is damaged."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from cli.backup import archive
from cli.backup.archive import BackupError
from cli.backup.create import take
from cli.backup.restore import check, restore
from mailcore import metrics
from mailcore.bus import Bus
from mailcore.media import Media
from mailcore.settings import Settings
from mailcore.store import Store, snapshot
from supervisor.data_lock import AlreadyRunning, DataLock
from tests.support.nats import NatsServer
from tests.support.stores import KEY, message_row, query

FILES = {f"mail_attachments/2024/05/06/Größe {number}.pdf": os.urandom(number * 50_000) for number in range(4)}


def settings_in(home: Path, **changes: object) -> Settings:
    url = f"sqlite+aiosqlite:///{home}/data/mozzart.db"
    facts = {"database_url": url, "data_dir": home / "data", "media_root": home / "media", **changes}
    return Settings.model_validate(facts)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Four messages with an attachment each."""
    found = settings_in(tmp_path)

    async def fill() -> None:
        store = await Store.open(found.database_url)
        await store.upgrade()
        mailbox = await store.save_mailbox(KEY, uidvalidity=7)
        media = Media.open(found.media_root)
        await media.write([(PurePosixPath(name), content) for name, content in FILES.items()])
        media.close()
        for uid, (name, content) in enumerate(FILES.items(), 1):
            row = message_row(mailbox.id, uid)
            digest = hashlib.sha256(content).hexdigest()
            part = replace(row.attachments[0], file=name, size=len(content), sha256=digest)
            await store.insert_messages([replace(row, attachments=(part,))])
        await store.close()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(fill())
    return found


def database(settings: Settings) -> Path:
    return settings.data_dir / "mozzart.db"


def attachments(settings: Settings) -> dict[str, bytes]:
    root = settings.media_root
    paths = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("name", ["kept", "kept.tar", "deep/below/kept"])
def test_what_a_backup_keeps_comes_back_elsewhere(settings: Settings, tmp_path: Path, name: str) -> None:
    made = take(settings, tmp_path / name)
    assert (made.messages, made.files, made.lost) == (4, 4, ())
    assert check(tmp_path / name) == made

    other = settings_in(tmp_path / "other")
    assert restore(other, tmp_path / name) == made
    assert attachments(other) == FILES
    assert snapshot.contents(database(other)) == snapshot.contents(database(settings))
    assert {path.name for path in other.data_dir.iterdir()} == {"mozzart.db", "up.lock"}


@pytest.mark.parametrize("name", ["kept", "kept.tar"])
def test_a_backup_is_its_owners_alone_and_replaces_nothing(settings: Settings, tmp_path: Path, name: str) -> None:
    take(settings, tmp_path / name)
    with pytest.raises(BackupError, match="nothing is overwritten"):
        take(settings, tmp_path / name)
    paths = [tmp_path / name, *(tmp_path / name).rglob("*")]
    assert [path for path in paths if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize("name", ["kept", "kept.tar"])
def test_what_fails_leaves_nothing(
    settings: Settings, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "into").mkdir()

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"cli.backup.archive._{'Tar' if '.' in name else 'Directory'}Writer.finish", full)
    with pytest.raises(BackupError, match="was not made: No space left"):
        take(settings, tmp_path / "into" / name)
    assert [path for path in (tmp_path / "into").rglob("*") if path.is_file()] == []
    if name == "kept":
        monkeypatch.undo()
        take(settings, tmp_path / "into" / name)


def test_a_database_that_is_there_is_not_overwritten_but_a_blank_one_is(settings: Settings, tmp_path: Path) -> None:
    take(settings, tmp_path / "kept")
    with pytest.raises(BackupError, match="has tables; nothing is overwritten"):
        restore(settings, tmp_path / "kept")

    for left in settings.data_dir.glob("mozzart.db*"):
        left.unlink()

    async def look() -> None:
        store = await Store.open(settings.database_url)
        assert await store.current() is None
        await store.close()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(look())
    assert database(settings).exists()
    restore(settings, tmp_path / "kept")
    assert snapshot.contents(database(settings)).messages == 4


def test_the_log_of_a_lost_database_is_not_mixed_into_the_restored_one(settings: Settings, tmp_path: Path) -> None:
    take(settings, tmp_path / "kept")
    database(settings).rename(tmp_path / "away.db")
    left = database(settings).with_name("mozzart.db-wal")
    left.write_bytes(b"pages of another database")
    with pytest.raises(BackupError, match="left of another database"):
        restore(settings, tmp_path / "kept")
    left.unlink()
    restore(settings, tmp_path / "kept")


def test_a_file_with_other_bytes_refuses_and_one_with_the_same_stays(settings: Settings, tmp_path: Path) -> None:
    take(settings, tmp_path / "kept")
    database(settings).unlink()
    first, second, *_ = (settings.media_root / name for name in list(FILES)[1:])
    content, stamp = first.read_bytes(), second.stat().st_mtime_ns
    first.write_bytes(b"somebody's own")
    with pytest.raises(BackupError, match="other bytes than the backup's"):
        restore(settings, tmp_path / "kept")
    assert (first.read_bytes(), database(settings).exists()) == (b"somebody's own", False)

    first.unlink()
    restore(settings, tmp_path / "kept")
    assert first.read_bytes() == content
    assert second.stat().st_mtime_ns == stamp
    assert attachments(settings) == FILES


@pytest.mark.parametrize("damaged", ["mozzart.db", f"media/{list(FILES)[2]}", "SHA256SUMS"])
def test_what_is_damaged_is_found_before_anything_is_written(settings: Settings, tmp_path: Path, damaged: str) -> None:
    take(settings, tmp_path / "kept")
    path = tmp_path / "kept" / damaged
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    other = settings_in(tmp_path / "other")
    for attempt in (lambda: check(tmp_path / "kept"), lambda: restore(other, tmp_path / "kept")):
        with pytest.raises(BackupError, match="changed"):
            attempt()
    assert not database(other).exists()
    assert attachments(other) == {}


def test_what_is_cut_off_is_no_backup(settings: Settings, tmp_path: Path) -> None:
    take(settings, tmp_path / "kept.tar")
    whole = (tmp_path / "kept.tar").read_bytes()
    (tmp_path / "half.tar").write_bytes(whole[: len(whole) // 2])
    take(settings, tmp_path / "kept")
    (tmp_path / "kept" / "manifest.json").unlink()
    for name in ("kept", "half.tar", "nowhere"):
        with pytest.raises(BackupError, match=r"is no whole backup|is no backup that can be read"):
            check(tmp_path / name)


def test_files_that_are_missing_or_changed_are_named_and_the_rest_is_kept(settings: Settings, tmp_path: Path) -> None:
    _, changed, missing, whole = FILES
    (settings.media_root / missing).unlink()
    (settings.media_root / changed).write_bytes(FILES[changed][::-1])
    made = take(settings, tmp_path / "kept.tar")
    assert set(made.lost) == {changed, missing}
    other = settings_in(tmp_path / "other")
    restore(other, tmp_path / "kept.tar")
    assert attachments(other).keys() == {whole, next(iter(FILES))}
    assert snapshot.contents(database(other)).messages == 4


@pytest.mark.asyncio
async def test_a_backup_of_a_later_version_is_refused(settings: Settings, tmp_path: Path) -> None:
    await query(settings.database_url, "UPDATE alembic_version SET version_num = '9999'")
    await asyncio.to_thread(take, settings, tmp_path / "kept")
    with pytest.raises(BackupError, match="of a later version"):
        await asyncio.to_thread(restore, settings_in(tmp_path / "other"), tmp_path / "kept")


def test_whoever_runs_refuses_a_restore(settings: Settings, tmp_path: Path) -> None:
    take(settings, tmp_path / "kept")
    other = settings_in(tmp_path / "other")
    with DataLock(other.data_dir), pytest.raises(AlreadyRunning, match="mozzart up"):
        restore(other, tmp_path / "kept")
    media = Media.open(other.media_root)
    with pytest.raises(AlreadyRunning, match="a consumer: still running"):
        restore(other, tmp_path / "kept")
    media.close()
    restore(other, tmp_path / "kept")


@pytest.mark.asyncio
async def test_a_process_that_answers_on_our_nats_server_refuses_a_restore(
    settings: Settings, tmp_path: Path, nats_server: NatsServer, bus: Bus
) -> None:
    await asyncio.to_thread(take, settings, tmp_path / "kept")
    other = settings_in(tmp_path / "other", nats_url=nats_server.url)
    await metrics.answer(bus, "syncer")
    with pytest.raises(AlreadyRunning, match="a syncer of this NATS server: still running"):
        await asyncio.to_thread(restore, other, tmp_path / "kept")
    assert not database(other).exists()
    nats_server.stop()
    # Whoever cannot be asked does not hold it up.
    await asyncio.to_thread(restore, other, tmp_path / "kept")


def test_postgresql_is_told_its_own_tools(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, database_url="postgresql+asyncpg://mozzart:Pass-w0rd-x@127.0.0.1:1/mozzart")
    attempts: list[Callable[[], object]] = [
        lambda: take(settings, tmp_path / "kept"),
        lambda: restore(settings, tmp_path / "kept"),
    ]
    for attempt in attempts:
        with pytest.raises(BackupError, match="pg_dump first, then a copy of MEDIA_ROOT"):
            attempt()
    assert not (tmp_path / "kept").exists()


def test_the_names_in_a_backup_are_those_of_the_document() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
    for name in (archive.DATABASE, archive.SUMS, archive.MANIFEST):
        assert f"`{name}`" in text
