"""Mail is private, whatever the umask and whatever was there before."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mailcore import modes
from mailcore.settings import Settings


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """The tests' own comes back."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def settings(home: Path, **more: object) -> Settings:
    return Settings(_env_file=None, data_dir=home / "data", media_root=home / "media", **more)


def make_old(home: Path, mode: int = 0o755) -> None:
    """An installation as an earlier version left it under umask 022, or a looser one."""
    for directory in ("data/nats/jetstream/$G", "data/spool", "media/.incoming", "media/mail_attachments/2026"):
        (home / directory).mkdir(parents=True)
    for file in ("mozzart.db", "mozzart.db-wal", "mozzart.db-shm", "nats/jetstream/$G/1.blk", "spool/1.eml", "up.lock"):
        (home / "data" / file).write_bytes(b"x")
    for path in (home / "data", home / "media", *home.rglob("*")):
        path.chmod(mode if path.is_dir() else mode & 0o666)


def open_to(home: Path, mask: int) -> set[str]:
    """What below the two directories, and they themselves, has any of these bits and can be reached by others."""
    found = set()
    for top in (home / "data", home / "media"):
        for directory, directories, files in os.walk(top):
            if not Path(directory).stat().st_mode & mask & 0o055:
                directories.clear()
                continue
            found |= {str(Path(directory, name).relative_to(home)) for name in (".", *files)}
    return found


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o705])
def test_what_an_earlier_version_left_open_is_closed_with_one_line(tmp_path: Path, mode: int) -> None:
    make_old(tmp_path, mode)
    with capture_logs() as logs:
        modes.keep_private(settings(tmp_path))
        modes.keep_private(settings(tmp_path))
    assert open_to(tmp_path, 0o077) == set()
    for path in (tmp_path / "data").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert [line["event"] for line in logs] == ["closed to others"]
    assert str(tmp_path / "data" / "mozzart.db") in logs[0]["paths"]


def test_the_group_may_read_if_the_setting_says_so_and_others_never(tmp_path: Path) -> None:
    make_old(tmp_path, 0o777)
    modes.keep_private(settings(tmp_path, file_group_readable=True))
    assert open_to(tmp_path, 0o007) == set()
    assert stat.S_IMODE((tmp_path / "media").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "data" / "mozzart.db").stat().st_mode) == 0o640
    (tmp_path / "data" / "new").write_bytes(b"x")
    assert stat.S_IMODE((tmp_path / "data" / "new").stat().st_mode) == 0o640


def test_a_directory_that_others_use_is_left_to_them_and_what_is_ours_in_it_is_closed(tmp_path: Path) -> None:
    make_old(tmp_path)
    for top in ("data", "media"):
        (tmp_path / top / "theirs").mkdir(mode=0o755)
    modes.keep_private(settings(tmp_path))
    for top, ours in (("data", {"nats", "spool", "mozzart.db", "mozzart.db-wal"}), ("media", {"mail_attachments"})):
        assert stat.S_IMODE((tmp_path / top).stat().st_mode) == 0o755
        assert stat.S_IMODE((tmp_path / top / "theirs").stat().st_mode) == 0o755
        for name in ours:
            assert (tmp_path / top / name).stat().st_mode & 0o077 == 0


def test_no_link_is_followed(tmp_path: Path) -> None:
    make_old(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (tmp_path / "data" / "spool" / "link").symlink_to(outside)
    (tmp_path / "media" / "mail_attachments" / "2026").rmdir()
    (tmp_path / "media" / "mail_attachments").rmdir()
    (tmp_path / "media" / "mail_attachments").symlink_to(outside)
    modes.keep_private(settings(tmp_path))
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755


def test_what_cannot_be_closed_is_told_once_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_old(tmp_path)

    def refused(descriptor: int, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refused)
    with capture_logs() as logs:
        modes.keep_private(settings(tmp_path))
    assert [(line["event"], line["error"]) for line in logs] == [
        ("open to others, and cannot be closed", "Operation not permitted")
    ]


def test_a_first_start_has_nothing_to_close(tmp_path: Path) -> None:
    with capture_logs() as logs:
        modes.keep_private(settings(tmp_path))
    assert logs == []
    (tmp_path / "made").mkdir()
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700


def test_the_media_directory_of_a_fresh_clone_is_closed(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media/.gitkeep").touch()
    assert (tmp_path / "media").stat().st_mode & 0o055

    modes.keep_private(settings(tmp_path))

    assert open_to(tmp_path, 0o077) == set()
