"""Terminals of 80 columns: what one goes on with (ids, dates, names) stays whole, and help ends with its sentence."""

from __future__ import annotations

import io
import itertools
import re
from datetime import UTC, datetime, timedelta

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from cli.main import root
from cli.messages.screen import table
from cli.status.overview import Overview
from cli.status.screen import screen
from mailcore.events.control import MailboxLive
from mailcore.events.identity import MailboxKey
from mailcore.settings import Settings
from mailcore.store import MailboxState
from mailcore.store.page import MessageSummary

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def printed(what: RenderableType, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, emoji=False).print(what, crop=False)
    return out.getvalue().splitlines()


def message(number: int, subject: str, sender: str) -> MessageSummary:
    facts = {"flags": ("\\Flagged", "\\Answered"), "flags_at": NOW, "has_attachments": True, "expunged_at": NOW}
    names = {"subject": subject, "from_name": sender, "from_email": "", "to_emails": (), "message_id": ""}
    times = {"received_at": NOW, "sent_at": None, "stored_at": NOW}
    return MessageSummary(
        number, "default", "INBOX", 7, number, size=123_456_789, **names, **times, **facts  # type: ignore[arg-type]
    )  # fmt: skip


@given(
    st.integers(80, 200),
    st.lists(st.tuples(st.integers(1, 10**7), st.text(max_size=300), st.text(max_size=100)), min_size=1, max_size=5),
)
def test_an_id_and_a_date_are_never_cut(width: int, facts: list[tuple[int, str, str]]) -> None:
    lines = printed(table([message(*one) for one in facts], width), width)
    assert len(lines) == len(facts) + 2
    for line, (number, _, _) in zip(lines[2:], facts, strict=True):
        assert re.match(rf"\s*{number} +2026-11-2[789] \d\d:\d\d:\d\d ", line), line
        assert line.rstrip().endswith("123.5 MB")


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_mailboxes_can_be_told_apart(width: int) -> None:
    names = [f"sales-and-marketing/Projekte/{year}/Bestellungen" for year in (2024, 2025, 2026)]
    found = Overview(NOW)
    for name in names:
        key = MailboxKey("bob", name)
        since = NOW - timedelta(seconds=20)
        found.rows[key] = MailboxState(
            1,
            "bob",
            name,
            message_count=123_456,
            stored_count=123_456,
            last_sync_at=since,
            last_sync_status="incomplete",
        )
        found.live[key] = MailboxLive(
            account="bob", mailbox=name, connection="backing off", since=since, in_flight=12_345, in_flight_bytes=1
        )
    lines = printed(screen(Settings(_env_file=None), found, width), width)
    rule = next(number for number, line in enumerate(lines) if "───" in line)
    rows = list(itertools.takewhile(str.strip, lines[rule + 1 :]))
    assert max(map(len, rows)) <= width
    whole = "".join(re.split(r"\s{2,}| (?=backing)", line.strip())[0].strip() for line in rows)
    assert all(f"bob/{name}" in whole for name in names)
    assert sum("incomplete 20 s ago" in line for line in rows) == 3


@pytest.mark.parametrize("group", [(), ("db",), ("messages",), ("dead-letters",)])
def test_each_line_of_help_ends_with_its_sentence(group: tuple[str, ...]) -> None:
    said = CliRunner().invoke(root, [*group, "--help"], terminal_width=80, prog_name="mozzart").output
    commands = said.partition("Commands:\n")[2].splitlines()
    command: click.Command = root
    for name in group:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert isinstance(command, click.Group)
    assert len(commands) == sum(not one.hidden for one in command.commands.values())
    assert not [line for line in commands if line.endswith("...")]
