"""The checksums of a backup: what is written is read again, sha256sum reads it too, and nothing strange is taken."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.backup.archive import DATABASE, BackupError
from cli.backup.manifest import read_manifest, read_sums, write_sums

SUM = "a" * 64
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1).filter(
    lambda name: name not in (".", "..")
)


@given(st.lists(NAMES, unique=True))
def test_names_of_any_kind_come_back(names: list[str]) -> None:
    sums = {DATABASE: SUM, **{f"media/2024/{name}": SUM for name in names}}
    assert read_sums(write_sums(sums)) == sums


def test_sha256sum_checks_it(tmp_path: Path) -> None:
    names = [DATABASE, "media/Größe.pdf", "media/two words", "media/line\nend", "media/back\\slash", "media/ *star"]
    (tmp_path / "media").mkdir()
    sums = {}
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
        sums[name] = hashlib.sha256(name.encode()).hexdigest()
    (tmp_path / "SHA256SUMS").write_bytes(write_sums(sums))

    ran = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(": OK") == len(names)


@pytest.mark.parametrize(
    "name", ["media/../../etc/passwd", "/etc/passwd", "media", "media/", "other.db", "media//x", "../media/x", ""]
)
def test_a_name_that_is_none_of_a_backup_is_refused(name: str) -> None:
    with pytest.raises(BackupError, match="none of a backup's"):
        read_sums(f"{SUM} *{DATABASE}\n{SUM} *{name}\n".encode())


def test_a_list_without_the_database_is_refused() -> None:
    with pytest.raises(BackupError, match="does not name the database"):
        read_sums(f"{SUM} *media/x\n".encode())


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"format": 2}', b"\xff"])
def test_a_manifest_of_another_format_is_refused_in_a_sentence(text: bytes) -> None:
    with pytest.raises(BackupError, match="format 1"):
        read_manifest(text)
