"""MEDIA_ROOT on a real file system."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

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
    fsync, rename = os.fsync, os.replace

    def spied_fsync(handle: int) -> None:
        fsync(handle)
        calls.append(("fsync", str(Path(f"/proc/self/fd/{handle}").readlink())))

    def spied_rename(source: Path, target: Path) -> None:
        rename(source, target)
        calls.append(("rename", str(source)))

    monkeypatch.setattr(os, "fsync", spied_fsync)
    monkeypatch.setattr(os, "replace", spied_rename)
    await media.write([(DAY / "a", b"content")])

    directories = ["", "mail_attachments", "mail_attachments/2024", "mail_attachments/2024/05"]
    (temporary,) = [path for call, path in calls if call == "rename"]
    assert calls == [
        *(("fsync", str(media.root / path)) for path in directories),
        ("fsync", temporary),
        ("rename", temporary),
        ("fsync", str(media.root / DAY)),
    ]


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

    def removed_first(*arguments: Any) -> Any:
        monkeypatch.setattr(where, name, theirs)
        (taken,) = (tmp_path / "media" / INCOMING).iterdir()
        taken.rmdir()
        return theirs(*arguments)

    monkeypatch.setattr(where, name, removed_first)
    media = Media.open(tmp_path / "media")
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
