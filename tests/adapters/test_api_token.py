"""The api's token when none is configured."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from api.auth import token
from mailcore.errors import SettingsError
from mailcore.settings import Settings


def settings(home: Path, **more: str) -> Settings:
    return Settings(_env_file=None, data_dir=home, **more)  # type: ignore[arg-type]  # as the environment gives them


def test_a_random_one_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    made, new = token(settings(tmp_path / "data"))

    path = tmp_path / "data" / "api.token"
    assert new
    assert len(made) >= 32
    assert path.read_text().strip() == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token(settings(tmp_path / "data")) == (made, False)
    assert token(settings(tmp_path / "other"))[0] != made


def test_the_configured_one_wins_and_no_file_is_made(tmp_path: Path) -> None:
    assert token(settings(tmp_path, api_token="mine")) == ("mine", False)
    assert not (tmp_path / "api.token").exists()


def test_an_empty_file_gets_a_token(tmp_path: Path) -> None:
    (tmp_path / "api.token").write_text("\n")

    made, new = token(settings(tmp_path))
    assert new
    assert made
    assert token(settings(tmp_path)) == (made, False)


def test_a_directory_that_cannot_hold_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, no directory")

    with pytest.raises(SettingsError, match=r"api\.token"):
        token(settings(tmp_path / "data"))
