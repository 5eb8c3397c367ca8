"""An account of the database and its row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.account import Account
from mailcore.account_row import changed, new_account, open_rows, seal, unseal
from mailcore.errors import SettingsError
from mailcore.secrets import Cipher, new_key
from mailcore.store import AccountRow

CIPHER = Cipher([new_key()])
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOSTS = ("*",)


def account(**values: Any) -> Account:
    return new_account("a", {"host": "h", "user": "u", "password": "hidden-pw"} | values, HOSTS)


def row(one: Account, cipher: Cipher = CIPHER, **columns: Any) -> AccountRow:
    sealed = seal(one, cipher)
    return AccountRow(1, one.name, sealed.settings, sealed.secrets, NOW, NOW, **columns)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    st.sampled_from(["all", "none", 30]),
    st.lists(st.sampled_from(["INBOX", "A/%", "*"]), min_size=1, unique=True),
)
def test_it_comes_back_as_it_was(password: str, backfill: Any, mailboxes: list[str]) -> None:
    one = account(password=password, backfill=backfill, mailboxes=mailboxes, starttls=True)
    assert unseal(row(one), CIPHER, HOSTS) == one


def test_no_secret_stands_in_what_may_be_seen() -> None:
    found = row(account())
    assert "hidden-pw" not in f"{found.settings} {found.secrets} {found}"
    assert found.settings["port"] == 993
    assert not found.settings.keys() & {"password", "name", "hosts", "source"}


def test_every_fault_is_told_and_no_value() -> None:
    with pytest.raises(SettingsError) as refused:
        new_account("a", {"host": "", "password": "hidden-pw", "port": 0}, HOSTS)
    assert "host: " in str(refused.value)
    assert "user: is missing" in str(refused.value)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("changes", [{"host": "elsewhere"}, {"port": 994}, {"use_ssl": False}, {"starttls": True}])
def test_a_password_is_not_sent_elsewhere_than_it_was_entered_for(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="enter the password again"):
        changed(account(), changes)
    assert changed(account(), {**changes, "password": "hidden-pw"}) != account()


def test_other_settings_change_alone() -> None:
    after = changed(account(), {"mailboxes": ["*"], "backfill": "none"})
    assert (after.mailboxes, after.backfill, after.password) == (("*",), "none", account().password)


def test_the_port_follows_the_way_of_connecting_where_nobody_chose_it() -> None:
    way = {"starttls": True, "password": "x"}
    after = changed(account(), way)
    assert (after.port, after.use_ssl) == (143, False)
    assert changed(account(port=9930), way).port == 9930
    assert changed(after, {"use_ssl": True, "password": "x"}).port == 993


def test_one_name_comes_from_one_source_and_one_fault_stops_no_other() -> None:
    sound = row(account())
    paused = row(new_account("p", {"host": "h", "user": "u", "password": "x"}, HOSTS), paused_at=NOW)
    lost = row(new_account("l", {"host": "h", "user": "u", "password": "x"}, HOSTS), Cipher([new_key()]))
    gone = row(new_account("g", {"host": "h", "user": "u", "password": "x"}, HOSTS), removed_at=NOW)
    twice = row(new_account("default", {"host": "h", "user": "u", "password": "x"}, HOSTS))

    found = open_rows([sound, paused, lost, gone, twice], CIPHER, HOSTS, ["default"])

    assert found.accounts == (account(),)
    assert found.paused == (paused,)
    assert found.faults.keys() == {"l", "default"}
    assert "must be of one" in found.faults["default"]
    assert "cannot be decrypted" in found.faults["l"]
