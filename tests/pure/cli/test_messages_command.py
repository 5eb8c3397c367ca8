"""`mozzart messages search` as it is typed."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import root
from cli.messages import run
from mailcore.store import MessageFilter


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[MessageFilter]:
    found: list[MessageFilter] = []

    async def search(settings: object, wanted: MessageFilter, **_: Any) -> int:
        found.append(wanted)
        return 0

    monkeypatch.setattr(run, "search", search)
    return found


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], ["word", "-h"], ["--limit", "3", "-h"]])
def test_h_alone_calls_for_help(arguments: list[str], asked: list[MessageFilter]) -> None:
    said = CliRunner().invoke(root, ["messages", "search", *arguments])
    assert (said.exit_code, asked) == (0, [])
    assert said.output.startswith("Usage: ")


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        (["-hello"], "-hello"),
        (["-halloween", "from:anna"], "-halloween from:anna"),
        (["word", "-hh"], "word -hh"),
        (["--", "-h"], "-h"),
        (["-hello world"], '-"hello world"'),
    ],
)
def test_what_begins_with_a_minus_is_a_word(arguments: list[str], query: str, asked: list[MessageFilter]) -> None:
    said = CliRunner().invoke(root, ["messages", "search", *arguments])
    assert said.exit_code == 0, said.output
    assert [each.query for each in asked] == [query]
    assert CliRunner().invoke(root, ["messages", "search", "--hello"]).exit_code == 2
