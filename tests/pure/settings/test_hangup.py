"""What a SIGHUP means."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

import pytest

from mailcore.hangup import Hangup, Wish


@pytest.mark.parametrize(
    ("had", "ignored", "has", "reloadable", "wish"),
    [
        (False, False, False, True, Wish.RELOAD),  # a service
        (False, False, False, False, Wish.STOP),
        (False, True, False, True, Wish.RELOAD),
        (False, True, False, False, Wish.NOTHING),
        (True, False, True, True, Wish.RELOAD),  # kill -HUP from another terminal
        (True, False, True, False, Wish.STOP),
        (True, False, False, True, Wish.STOP),  # the terminal went away
        (True, False, False, False, Wish.STOP),
        (True, True, False, True, Wish.NOTHING),  # nohup, and the terminal went away
        (True, True, True, True, Wish.RELOAD),
        (True, True, True, False, Wish.NOTHING),
    ],
)
def test_a_person_is_told_from_a_terminal_that_goes_away(
    had: bool, ignored: bool, has: bool, reloadable: bool, wish: Wish
) -> None:
    assert Hangup(terminal=had, ignored=ignored).wish(terminal=has, reloadable=reloadable) is wish


WATCH = """
import fcntl, signal, sys, termios
from mailcore.hangup import has_terminal

def tell(*_):
    print("there" if has_terminal() else "gone", flush=True)

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, tell)
tell()
while True:
    signal.pause()
"""


def test_when_the_signal_comes_the_terminal_is_gone_already() -> None:
    """The kernel's order, on which the decision relies."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", WATCH], stdin=slave, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            os.close(slave)
            assert process.stdout is not None
            assert process.stdout.readline() == "there\n"
            process.send_signal(signal.SIGHUP)
            assert process.stdout.readline() == "there\n"
            os.close(master)
            assert process.stdout.readline() == "gone\n"
        finally:
            process.kill()
