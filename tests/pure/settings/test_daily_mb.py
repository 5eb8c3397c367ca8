"""What an account may fetch in a day: the setting, else what is known of the provider."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from mailcore.account import Account


def account(host: str, **given: int) -> Account:
    return Account.model_validate({"name": "a", "host": host, "user": "u", "password": SecretStr("p"), **given})


@pytest.mark.parametrize(
    ("host", "given", "octets"),
    [
        ("imap.gmail.com", {}, 2_500_000_000),
        ("IMAP.GMAIL.COM.", {}, 2_500_000_000),
        ("imap.gmail.com", {"daily_mb": 0}, 0),
        ("imap.gmail.com", {"daily_mb": 500}, 500_000_000),
        ("mail.example.com", {}, 0),
        ("mail.example.com", {"daily_mb": 3}, 3_000_000),
        ("outlook.office365.com", {}, 0),
    ],
)
def test_the_setting_holds_else_what_is_known_of_the_provider(host: str, given: dict[str, int], octets: int) -> None:
    assert account(host, **given).budget == octets


def test_less_than_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="daily_mb"):
        account("mail.example.com", daily_mb=-1)
