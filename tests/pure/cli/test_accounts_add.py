"""`mozzart accounts add ADDRESS` takes a server that was found when it is told to, and nothing unasked."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from cli.accounts.command import accounts
from mailcore.account_row import new_account


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What would be added."""
    found: list[tuple[str, dict[str, Any]]] = []

    async def add(settings: object, name: str, values: dict[str, Any], *, tested: bool) -> int:
        found.append((name, values))
        return 0

    monkeypatch.setattr("cli.accounts.run.add", add)
    monkeypatch.setattr("cli.accounts.command.settings", lambda *_, **__: None)
    return found


def test_with_yes_the_preset_is_used_and_said(added: list[tuple[str, dict[str, Any]]]) -> None:
    ran = CliRunner().invoke(accounts, ["add", "anna@gmail.com", "--yes"], input="a password\n")
    assert ran.exit_code == 0, ran.output
    ((name, values),) = added
    assert (name, values["host"], values["port"], values["use_ssl"]) == ("anna@gmail.com", "imap.gmail.com", 993, True)
    assert "imap.gmail.com:993 (TLS), user anna@gmail.com: Google is known." in ran.output
    assert "docs/providers.md" in ran.output


def test_without_it_nobody_who_cannot_be_asked_gets_one(added: list[tuple[str, dict[str, Any]]]) -> None:
    ran = CliRunner().invoke(accounts, ["add", "anna@gmail.com"], input="a password\n")
    assert ran.exit_code == 2
    assert added == []


def test_a_host_that_is_given_is_used_as_it_is(added: list[tuple[str, dict[str, Any]]]) -> None:
    ran = CliRunner().invoke(accounts, ["add", "anna@gmail.com", "--host", "h.example"], input="a password\n")
    assert ran.exit_code == 0, ran.output
    assert added[0][1]["host"] == "h.example"


def test_with_a_client_id_somebody_signs_in_instead(
    added: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    signed: list[str] = []

    async def sign_in(settings: object, name: str) -> int:
        signed.append(name)
        return 0

    monkeypatch.setattr("cli.accounts.authorize.run", sign_in)
    words = ["add", "anna@gmail.com", "--yes", "--client-id", "id"]
    ran = CliRunner().invoke(accounts, words, input="its secret\n")
    assert ran.exit_code == 0, ran.output
    ((name, values),) = added
    assert values["oauth"] == {"provider": "google", "client_id": "id", "client_secret": "its secret"}
    assert "password" not in values
    assert new_account(name, values, ["*"]).oauth is not None
    assert signed == ["anna@gmail.com"]


def test_a_client_id_is_for_known_providers_alone(added: list[tuple[str, dict[str, Any]]]) -> None:
    ran = CliRunner().invoke(accounts, ["add", "anna@icloud.com", "--yes", "--client-id", "id"], input="x\n")
    assert ran.exit_code == 2
    assert added == []
