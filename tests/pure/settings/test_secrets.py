"""Secrets of the database: under which key, and what is said without it."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from mailcore.errors import SettingsError
from mailcore.secrets import Cipher, new_key, read_keys, write_keys
from mailcore.settings import Settings, load_settings


def settings(tmp_path: Path, **given: Any) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path / "data", **given)


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    old, new = new_key(), new_key()
    token = Cipher([old]).encrypt("hidden-ä")

    both = Cipher([new, old])

    assert both.decrypt(token) == "hidden-ä"
    assert not both.is_current(token)
    assert both.is_current(both.encrypt("x"))
    assert "hidden" not in token


def test_a_key_is_made_when_it_is_first_needed_and_for_its_owner_alone(tmp_path: Path) -> None:
    found = settings(tmp_path)
    token = Cipher.open(found, make=True).encrypt("hidden")

    assert stat.S_IMODE(found.secret_key_path.stat().st_mode) == 0o600
    assert Cipher.open(found, make=True).decrypt(token) == "hidden"
    assert [path.name for path in found.data_dir.iterdir()] == ["secret.key"]


def test_nothing_is_made_by_who_only_reads(tmp_path: Path) -> None:
    found = settings(tmp_path)
    with pytest.raises(SettingsError, match=r"there is no key in .*secret.key"):
        Cipher.open(found).decrypt("whatever")
    assert not found.data_dir.exists()


def test_another_key_is_told_as_that() -> None:
    with pytest.raises(SettingsError, match="does not have the key"):
        Cipher([new_key()]).decrypt(Cipher([new_key()]).encrypt("hidden"))


def test_a_configured_key_comes_before_the_file(tmp_path: Path) -> None:
    plain = base64.b64encode(os.urandom(32)).decode()
    found = settings(tmp_path, secret_key=f"{plain}, {new_key()}")
    assert Cipher.open(found, make=True).decrypt(Cipher.open(found).encrypt("hidden")) == "hidden"
    assert not found.secret_key_path.exists()
    assert plain in found.secrets()


def test_what_is_no_key_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "my-dearest-secret")
    with pytest.raises(SettingsError, match="SECRET_KEY: must be 32 random bytes") as refused:
        load_settings()
    assert "dearest" not in str(refused.value)


def test_a_file_of_keys_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    keys = [new_key(), new_key()]
    write_keys(path, keys)
    assert read_keys(path) == keys
    path.write_text("no key\n")
    with pytest.raises(SettingsError, match="no key can be read"):
        read_keys(path)
