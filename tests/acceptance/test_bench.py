"""The bench itself, as small as it goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import report
from bench.__main__ import main
from tests.support.programs import need_program


def test_the_smallest_run_measures_a_backfill_and_its_system_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program, package in (("dovecot", "dovecot-imapd"), ("mbsync", "isync"), ("strace", "strace")):
        need_program(program, package)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    parts = "--only backfill --only calls --database sqlite --no-sweep"

    assert main(["--size", "smallest", "--scratch", str(tmp_path), *parts.split()]) == 0

    (path,) = (tmp_path / "results").iterdir()
    figures = json.loads(path.read_text())["smallest"]["figures"]
    found = {(one["group"], one["row"], one["column"]): one["values"] for one in figures}
    assert found["backfill", "mozzart, SQLite", "× mbsync"][0] > 0
    assert found["backfill", "mozzart, SQLite: syncer", "processor, s"][0] > 0
    assert found["system calls", "consumer", "fsyncs a message"][0] > 0
    assert found["system calls", "consumer", "× the mail, read"][0] > 1
