"""MEDIA_ROOT on a real file system."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from mailcore.descent import InTheWay, open_file
from mailcore.errors import Retry, Scope
from mailcore.media import INCOMING, Media, MediaError
from tests.support.consumers import kept_files, temporary_files

DAY = PurePosixPath("mail_attachments/2024/05/06")


@pytest.mark.asyncio
async def test_what_was_written_is_there_whole(media: Media) -> None:
    files = [(DAY / f"{number}.bin", os.urandom(number * 1000)) for number in range(50)]
    files.append((PurePosixPath("mail_attachments/2024/05/07/größe.bin"), b"x"))
    await media.write(files)
    assert {(str(path), media.path(path).read_bytes()) for path, _ in files} == {
        (str(path), content) for path, content in files
    }
    assert kept_files(media.root) == {str(path) for path, _ in files}
    assert temporary_files(media.root) == set()


@pytest.mark.asyncio
async def test_writing_again_replaces(media: Media) -> None:
    await media.write([(DAY / "a", b"long content")])
    await media.write([(DAY / "a", b"short")])
    assert media.path(DAY / "a").read_bytes() == b"short"


def inode(media: Media, file: PurePosixPath) -> int:
    return media.path(file).stat().st_ino


@pytest.mark.asyncio
async def test_a_file_that_has_a_source_is_a_link_to_it_also_when_it_is_written_again(media: Media) -> None:
    copies = [DAY / f"copy {number}" for number in range(40)]
    await media.write([(DAY / "first", b"content")])
    for _ in range(2):
        await media.write([(copy, b"content") for copy in copies], dict.fromkeys(copies, DAY / "first"))
        assert {inode(media, copy) for copy in copies} == {inode(media, DAY / "first")}
    assert temporary_files(media.root) == set()


@pytest.mark.asyncio
async def test_what_is_removed_or_replaced_is_so_under_its_own_name_alone(media: Media) -> None:
    first, copy = DAY / "first", PurePosixPath("mail_attachments/2024/05/07/copy")
    await media.write([(first, b"content")])
    await media.write([(copy, b"content")], {copy: first})
    await media.write([(copy, b"another content")])
    assert media.path(first).read_bytes() == b"content"
    await media.write([(copy, b"content")], {copy: first})
    await media.remove([str(first)])
    assert kept_files(media.root) == {str(copy)}
    assert media.path(copy).read_bytes() == b"content"


@pytest.mark.asyncio
@pytest.mark.parametrize("lies_there", ["nothing", "another size", "other bytes", "a link", "a directory", "a pipe"])
async def test_a_source_that_has_not_the_bytes_is_not_linked_to(media: Media, tmp_path: Path, lies_there: str) -> None:
    first, copy = DAY / "first", DAY / "copy"
    (tmp_path / "outside").write_bytes(b"content")
    await media.write([(DAY / "neighbour", b"")])
    place = media.path(first)
    make = {
        "nothing": lambda: None,
        "another size": lambda: place.write_bytes(b"content and more"),
        "other bytes": lambda: place.write_bytes(b"CONTENT"),
        "a link": lambda: place.symlink_to(tmp_path / "outside"),
        "a directory": place.mkdir,
        "a pipe": lambda: os.mkfifo(place),
    }
    make[lies_there]()
    await media.write([(copy, b"content")], {copy: first})
    found = media.path(copy)
    assert (found.is_symlink(), found.read_bytes(), found.stat().st_nlink) == (False, b"content", 1)
    assert temporary_files(media.root) == set()


@pytest.mark.asyncio
async def test_where_links_cannot_be_made_a_copy_is_written(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "this file system has no links")

    await media.write([(DAY / "first", b"content")])
    monkeypatch.setattr(os, "link", refuse)
    await media.write([(DAY / "copy", b"content")], {DAY / "copy": DAY / "first"})
    assert media.path(DAY / "copy").read_bytes() == b"content"
    assert inode(media, DAY / "copy") != inode(media, DAY / "first")


@pytest.mark.asyncio
async def test_nobody_but_owner_and_group_can_read(media: Media) -> None:
    await media.write([(DAY / "a", b"private")])
    assert media.path(DAY / "a").stat().st_mode & 0o007 == 0
    assert (media.root / "mail_attachments").stat().st_mode & 0o007 == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", f"{INCOMING}/x", "a\0b"])
async def test_no_path_leaves_media_root(media: Media, path: str) -> None:
    with pytest.raises(MediaError) as caught:
        await media.write([(PurePosixPath(path), b"")])
    assert (caught.value.scope, caught.value.retry) == (Scope.MESSAGE, Retry.NEVER)


@pytest.mark.asyncio
async def test_a_name_that_is_too_long_is_the_messages_fault_and_leaves_nothing_behind(media: Media) -> None:
    with pytest.raises(MediaError) as caught:
        await media.write([(DAY / ("x" * 300), b"content"), (DAY / "good", b"")])
    assert (caught.value.scope, caught.value.retry) == (Scope.MESSAGE, Retry.NEVER)
    assert temporary_files(media.root) == set()


@pytest.mark.asyncio
async def test_directories_that_somebody_removed_are_made_again(media: Media) -> None:
    await media.write([(DAY / "a", b"1")])
    await asyncio.to_thread(subprocess.run, ["rm", "-rf", str(media.root)], check=True)
    with pytest.raises(MediaError) as caught:
        await media.write([(DAY / "b", b"2")])
    assert (caught.value.scope, caught.value.retry) == (Scope.PROCESS, Retry.LATER)
    await media.write([(DAY / "b", b"2")])
    assert media.path(DAY / "b").read_bytes() == b"2"


@pytest.mark.asyncio
async def test_a_name_is_given_only_to_bytes_that_are_on_disk(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    # A power cut cannot be had in a test; the order of the system calls that survive one can.
    calls: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def spied_fsync(handle: int) -> None:
        fsync(handle)
        calls.append(("fsync", str(Path(f"/proc/self/fd/{handle}").readlink())))

    def spied_rename(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        calls.append(("rename", str(Path(f"/proc/self/fd/{src_dir_fd}").readlink() / source)))

    monkeypatch.setattr(os, "fsync", spied_fsync)
    monkeypatch.setattr(os, "rename", spied_rename)
    await media.write([(DAY / "a", b"content")])

    directories = ["", "mail_attachments", "mail_attachments/2024", "mail_attachments/2024/05"]
    (temporary,) = [path for call, path in calls if call == "rename"]
    assert calls == [
        *(("fsync", str(media.root / path)) for path in directories),
        ("fsync", temporary),
        ("rename", temporary),
        ("fsync", str(media.root / DAY)),
    ]


IN_THE_WAY = ("mail_attachments", "mail_attachments/2024", str(DAY))


@pytest.mark.asyncio
@pytest.mark.parametrize("what", ["a link to a directory", "a link to nothing", "a file", "a pipe"])
@pytest.mark.parametrize("place", IN_THE_WAY)
async def test_what_lies_in_the_way_is_told_and_nothing_is_written_through_it(
    media: Media, tmp_path: Path, place: str, what: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    there = media.root / place
    there.parent.mkdir(parents=True, exist_ok=True)
    if what == "a file":
        there.write_bytes(b"somebody's")
    elif what == "a pipe":
        os.mkfifo(there)
    else:
        there.symlink_to(outside if what == "a link to a directory" else tmp_path / "nothing")

    with pytest.raises(MediaError) as caught:
        await media.write([(DAY / f"{number}", b"content") for number in range(10)])
    assert caught.value.retry is Retry.LATER
    assert caught.value.scope is (Scope.PROCESS if place == "mail_attachments" else Scope.MESSAGE)
    kind = "a symbolic link" if "link" in what else what
    assert f"{there} is {kind}" in str(caught.value)
    assert "move it away" in str(caught.value)
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "nothing").exists()
    assert temporary_files(media.root) == set()

    there.unlink()
    await media.write([(DAY / "a", b"content")])
    assert media.path(DAY / "a").read_bytes() == b"content"


@pytest.mark.asyncio
async def test_a_directory_that_becomes_a_link_between_two_writes_is_not_followed(media: Media, tmp_path: Path) -> None:
    await media.write([(DAY / "a", b"1")])
    day, moved = media.root / DAY, tmp_path / "moved"
    day.rename(moved)
    day.symlink_to(moved)
    with pytest.raises(MediaError, match="symbolic link"):
        await media.write([(DAY / "b", b"2")])
    with pytest.raises(MediaError, match="symbolic link"):
        await media.remove([str(DAY / "a")])
    assert [path.name for path in moved.iterdir()] == ["a"]


@pytest.mark.asyncio
async def test_a_link_in_the_place_of_a_file_is_replaced_or_removed_itself(media: Media, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"theirs")
    await media.write([(DAY / "a", b"1")])
    for name in ("b", "c"):
        media.path(DAY / name).symlink_to(theirs)
    await media.write([(DAY / "b", b"2")])
    await media.remove([str(DAY / "c")])
    assert (media.path(DAY / "b").read_bytes(), media.path(DAY / "b").is_symlink()) == (b"2", False)
    assert not media.path(DAY / "c").is_symlink()
    assert theirs.read_bytes() == b"theirs"


@pytest.mark.asyncio
async def test_a_directory_in_the_place_of_a_file_is_told(media: Media) -> None:
    await media.write([(DAY / "a" / "inside", b"1")])
    with pytest.raises(MediaError, match="is a directory; a file belongs there") as caught:
        await media.write([(DAY / "a", b"2")])
    assert (caught.value.scope, caught.value.retry) == (Scope.MESSAGE, Retry.LATER)
    assert temporary_files(media.root) == set()


def test_the_directory_of_temporary_files_is_no_link_either(tmp_path: Path) -> None:
    root, outside = tmp_path / "media", tmp_path / "outside"
    root.mkdir()
    (outside / "kept").mkdir(parents=True)
    (root / INCOMING).symlink_to(outside)
    with pytest.raises(MediaError, match="symbolic link"):
        Media.open(root)
    (root / INCOMING).unlink()

    media = Media.open(root)
    (root / INCOMING).rename(tmp_path / "moved")
    (root / INCOMING).symlink_to(outside)
    with pytest.raises(MediaError, match="symbolic link"):
        media.spool()
    media.close()
    assert [path.name for path in outside.iterdir()] == ["kept"]


@pytest.mark.asyncio
async def test_media_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "media").symlink_to(tmp_path / "disk")
    media = Media.open(tmp_path / "media")
    await media.write([(DAY / "a", b"1")])
    media.close()
    assert (tmp_path / "disk" / DAY / "a").read_bytes() == b"1"


@pytest.mark.parametrize("file", ["", "/etc/passwd", "../x", "a/../../x", f"{INCOMING}/1", "a\0b", "//x", "."])
def test_a_path_that_leads_elsewhere_is_not_read(tmp_path: Path, file: str) -> None:
    with pytest.raises(ValueError, match="not a path below"):
        open_file(tmp_path, file)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("link", "is a symbolic link, and none is followed there; a file belongs there"),
        ("link to a directory/file", "is a symbolic link, and none is followed there; a directory belongs there"),
        ("file/file", "is a file; a directory belongs there"),
        ("directory", "is a directory; a file belongs there"),
        ("pipe", "is a pipe; a file belongs there"),
    ],
)
def test_nothing_but_a_file_is_read(tmp_path: Path, what: str, words: str) -> None:
    root, outside = tmp_path / "media", tmp_path / "outside"
    for each in (root / "directory", outside):
        each.mkdir(parents=True)
    for file in (root / "file", outside / "file"):
        file.write_bytes(b"x")
    (root / "link").symlink_to(outside / "file")
    (root / "link to a directory").symlink_to(outside)
    os.mkfifo(root / "pipe")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(InTheWay, match=words):
        open_file(root, what)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    with open_file(root, "file") as opened:
        assert opened.read() == b"x"


_HOLD = """
import sys, time
from pathlib import Path
from mailcore.media import Media
media = Media.open(Path(sys.argv[1]))
media.spool().write_bytes(b"half a file")
print("ready", flush=True)
time.sleep(600)
"""


def test_a_start_removes_what_a_killed_process_left_and_not_what_a_living_one_has(
    tmp_path: Path,
) -> None:
    root = tmp_path / "media"
    processes = [
        subprocess.Popen([sys.executable, "-c", _HOLD, str(root)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        killed, living = processes
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert len(temporary_files(root)) == 2
        Media.open(root).close()
        (left,) = temporary_files(root)
        assert f"/{living.pid}-" in left
    finally:
        for process in processes:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def test_closing_leaves_nothing_temporary(tmp_path: Path) -> None:
    media = Media.open(tmp_path / "media")
    media.spool().write_bytes(b"x")
    media.close()
    assert list((tmp_path / "media" / INCOMING).iterdir()) == []


@pytest.mark.parametrize("before", ["it is opened", "it is locked"])
def test_a_directory_that_another_process_took_for_abandoned_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    where, name = (os, "open") if before == "it is opened" else (fcntl, "flock")
    theirs = getattr(where, name)

    def removed_first(*arguments: Any, **options: Any) -> Any:
        for taken in (tmp_path / "media" / INCOMING).glob("*"):
            monkeypatch.setattr(where, name, theirs)
            taken.rmdir()
        return theirs(*arguments, **options)

    monkeypatch.setattr(where, name, removed_first)
    media = Media.open(tmp_path / "media")
    assert getattr(where, name) is theirs
    assert media.spool().parent.is_dir()
    media.close()


def test_many_that_start_at_once_remove_nothing_of_each_other(tmp_path: Path) -> None:
    script = _HOLD.replace("time.sleep(600)", "sys.stdin.readline(); media.spool().write_bytes(b'x'); media.close()")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "media")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for process in processes:
        _, said = process.communicate("go\n", timeout=30)
        assert (process.returncode, said) == (0, "")
