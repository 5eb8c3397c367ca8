"""`mozzart demo`: the first thing that a stranger sees."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.processes import MOZZART
from tests.support.programs import wait_until

WAY = re.compile(
    r"delivered +0\.0 ms .*\n"
    r" +pushed +\+([\d.]+) ms .*\n"
    r" +published +\+([\d.]+) ms .*\n"
    r" +stored +\+([\d.]+) ms .*\n"
    r" +database +row (\d+)\n"
    r" +attachment .*\n"
    r" +on disk +(/.*)\n"
)


@contextmanager
def demo(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The process and the file with what it says; nothing of it is left afterwards."""
    said = home / "said.txt"
    # A person's own settings, also broken ones, are no business of the demo's.
    (home / ".env").write_text("IMAP_PORT=broken\nNATS_URL=nats://127.0.0.1:1\n")
    with said.open("wb") as output:
        process = subprocess.Popen([str(MOZZART), "demo", *arguments], cwd=home, stdout=output, stderr=output)
    try:
        yield process, said
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        for one in (*family, process):
            with_suppressed_kill(one)
        process.wait(10)


def with_suppressed_kill(process: psutil.Process | subprocess.Popen[bytes]) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def test_each_mails_way_is_shown_and_the_attachment_is_where_it_says(tmp_path: Path) -> None:
    with demo(tmp_path, "--every", "0.05", "--count", "6", "--data-dir", str(tmp_path / "kept")) as (process, said):
        assert process.wait(90) == 0
        text = said.read_text()

    ways = WAY.findall(text)
    assert len(ways) == 6, text
    for number, (pushed, published, stored, row, path) in enumerate(ways, 1):
        assert 0 <= float(pushed) <= float(published) <= float(stored) < 15_000
        assert int(row) == number
        assert Path(path).is_relative_to(tmp_path / "kept" / "media" / "mail_attachments")
        assert Path(path).stat().st_size > 0
    assert "6 mails delivered, 6 stored" in text
    assert "Every process has ended." in text
    assert "Traceback" not in text
    assert "\x1b" not in text, "no colours where nobody sees them"


def test_ctrl_c_ends_everything_within_five_seconds_and_leaves_nothing(tmp_path: Path) -> None:
    with demo(tmp_path, "--every", "0.2") as (process, said):
        wait_until(lambda: "row 2" in said.read_text(), "two mails", within=90)
        directory = Path(re.search(r"lies in (/\S+)", said.read_text())[1])  # type: ignore[index]  # it says so
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 6
        assert directory.is_dir()

        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
        assert time.monotonic() - began < 5
        assert not [one for one in children if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    assert not directory.exists()
    assert re.search(r"\d+ mails delivered, \d+ stored", said.read_text())


def test_mail_goes_on_after_kill_9_of_every_child_in_turn(tmp_path: Path) -> None:
    with demo(tmp_path, "--every", "0.2") as (process, said):
        wait_until(lambda: "row 1" in said.read_text(), "a first mail", within=90)
        for role in ("syncer", "consumer", "api", "nats-server", "demo-imap"):
            before = len(WAY.findall(said.read_text()))
            for child in psutil.Process(process.pid).children():
                if any(Path(word).name == role for word in child.cmdline()[:4]):
                    child.kill()
            wait_until(lambda b=before: len(WAY.findall(said.read_text())) > b + 1, f"mail after {role}", within=60)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
