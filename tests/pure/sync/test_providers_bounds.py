"""Where the provider counts by account, the number of accounts is nothing to it."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from mailcore.discovery.preset import counts_by_account
from syncer.imap.connection import Endpoint
from syncer.server import Servers


@pytest.mark.parametrize(
    "host", ["imap.gmail.com", "IMAP.GMAIL.COM.", "outlook.office365.com", "imap-mail.outlook.com", "gmail.com"]
)
def test_google_and_microsoft_count_by_account(host: str) -> None:
    assert counts_by_account(host)


@pytest.mark.parametrize("host", ["mail.example.com", "gmail.com.example.net", "notgmail.com", "imap.yahoo.com"])
def test_others_count_by_address(host: str) -> None:
    assert not counts_by_account(host)


def test_three_hundred_accounts_at_one_of_them_all_may_idle_and_fetch_no_more_at_once_than_elsewhere() -> None:
    servers = Servers(200, 5.0)

    def at(host: str) -> Endpoint:
        return Endpoint(host, 993, "u", SecretStr("p"))

    assert servers.of(at("imap.gmail.com")).limit > 2 * 300
    assert servers.of(at("mail.example.com")).limit == 200
    assert servers.of(at("imap.gmail.com")).bulk.total_tokens == servers.of(at("mail.example.com")).bulk.total_tokens
