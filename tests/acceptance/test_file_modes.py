"""Whichever command comes first, and whatever the umask: nobody else can read anything."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from tests.support.processes import MOZZART, Mozzart


@pytest.mark.parametrize("first", [("doctor",), ("db", "upgrade"), ("status",), ("up",)])
def test_nothing_is_open_to_others_under_umask_000(
    make_mozzart: Callable[..., Mozzart], first: tuple[str, ...]
) -> None:
    mozzart = make_mozzart()
    if first == ("up",):
        mozzart.executed = True
        before = os.umask(0)
        try:
            mozzart.start()
        finally:
            os.umask(before)
        mozzart.wait_ready()
        mozzart.stop()
    else:
        subprocess.run([MOZZART, *first], cwd=mozzart.home, env=mozzart.settings, umask=0, capture_output=True)
    made = [path for path in mozzart.home.rglob("*") if path != mozzart.log]
    assert mozzart.home / "data" in made
    assert [str(path) for path in made if path.stat().st_mode & 0o077] == []
