"""The api's secrets when none are configured."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from api.guard.credentials import Kept, admin_password, session_secret, token
from mailcore.errors import SettingsError
from mailcore.settings import Settings


def settings(home: Path, **more: str) -> Settings:
    return Settings(_env_file=None, data_dir=home, **more)  # type: ignore[arg-type]  # as the environment gives them


def test_a_random_one_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    kept = token(settings(tmp_path / "data"))

    made = kept.secret
    path = tmp_path / "data" / "api.token"
    assert kept.made
    assert len(made) >= 32
    assert path.read_text().strip() == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token(settings(tmp_path / "data")) == Kept(made)
    assert token(settings(tmp_path / "other")).secret != made


def test_the_configured_one_wins_and_no_file_is_made(tmp_path: Path) -> None:
    assert token(settings(tmp_path, api_token="mine")) == Kept("mine")
    assert not (tmp_path / "api.token").exists()


def test_an_empty_file_gets_a_token(tmp_path: Path) -> None:
    (tmp_path / "api.token").write_text("\n")

    made = token(settings(tmp_path)).secret
    assert made
    assert token(settings(tmp_path)) == Kept(made)


def test_a_directory_that_cannot_hold_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, no directory")

    with pytest.raises(SettingsError, match=r"api\.token"):
        token(settings(tmp_path / "data"))


@pytest.mark.parametrize(
    ("kept", "name"), [(token, "api.token"), (admin_password, "admin.password"), (session_secret, "session.key")]
)
def test_what_was_made_is_for_its_owner_alone_and_leaves_nothing_else(kept: Any, name: str, tmp_path: Path) -> None:
    home = tmp_path / "data"

    made = kept(settings(home))

    assert made.made
    assert made.secret not in repr(made)
    assert [path.name for path in home.iterdir()] == [name]
    assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    assert kept(settings(home)) == Kept(made.secret)


def test_all_who_start_at_once_get_the_same_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: admin_password(settings(tmp_path)).secret, range(16)))

    assert len(set(found)) == 1


def test_a_configured_password_wins_and_no_file_is_made(tmp_path: Path) -> None:
    assert admin_password(settings(tmp_path, admin_password="mine")) == Kept("mine")
    assert not list(tmp_path.iterdir())
