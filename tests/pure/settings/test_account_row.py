"""An account of the database and its row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.account import Account
from mailcore.account_row import changed, new_account, open_rows, seal, unseal, with_secrets_of
from mailcore.errors import SettingsError
from mailcore.oauth.sign_in import configuration
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


def by_oauth(**values: Any) -> Account:
    oauth = {"provider": "google", "client_id": "c", "client_secret": "hidden-secret"} | values
    return account(password="", auth="oauth", oauth=oauth)


def test_a_setting_of_oauth_changes_alone() -> None:
    after = changed(by_oauth(), {"oauth": {"scope": "other"}})
    assert after.oauth is not None
    assert (after.oauth.scope, after.oauth.client_id) == ("other", "c")
    assert after.oauth.secrets() == ("hidden-secret",)


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "elsewhere"},
        {"host": "elsewhere", "oauth": {"scope": "other"}},
        {"oauth": {"token_url": "https://elsewhere.example/token"}},
        {"oauth": {"provider": "microsoft"}},
    ],
)
def test_a_client_secret_is_not_sent_elsewhere_than_it_was_entered_for(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="enter the client_secret again"):
        changed(by_oauth(), changes)
    again = {**changes, "oauth": {**changes.get("oauth", {}), "client_secret": "hidden-secret"}}
    assert changed(by_oauth(), again) != by_oauth()


def test_one_way_of_logging_in_ends_the_other() -> None:
    oauth = {"provider": "google", "client_id": "c"}
    after = changed(account(), {"auth": "oauth", "oauth": oauth})
    assert (after.auth, after.password.get_secret_value()) == ("oauth", "")
    before = changed(by_oauth(), {"auth": "password", "password": "other"})
    assert (before.auth, before.oauth) == ("password", None)
    with pytest.raises(SettingsError, match="password: it is empty"):
        changed(by_oauth(), {"auth": "password"})


def test_the_tokens_of_an_account_are_not_sent_elsewhere_than_it_signed_in_for() -> None:
    one = by_oauth(client_secret="")
    assert configuration(changed(one, {"mailboxes": ["*"]})) == configuration(one)
    assert configuration(changed(one, {"host": "elsewhere"})) != configuration(one)


def test_secrets_that_are_lost_are_entered_again() -> None:
    found = row(by_oauth())
    again = with_secrets_of(found, {"oauth": {"client_secret": "hidden-other", "scope": "x"}}, HOSTS)
    assert again.oauth is not None
    assert (again.oauth.secrets(), again.oauth.scope) == (("hidden-other",), "")


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
