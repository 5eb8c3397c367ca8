"""`mozzart accounts add ADDRESS` takes a server that was found when it is told to, and nothing unasked."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from cli.accounts.command import accounts


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
