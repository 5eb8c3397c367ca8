"""Stored messages on a terminal. What a stranger wrote is shown, never obeyed: no control character reaches it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.quantity import size
from mailcore.html.plaintext import readable
from mailcore.imap.flag import in_words
from mailcore.mime.address import address_text
from mailcore.store.page import AttachmentDetail, MessageDetail, MessageSummary
from mailcore.visible import lines, one_line

_FROM: Final = 3
_SUBJECT: Final = 4
_LEAST: Final = 8
_LONGEST_FROM: Final = 32


def table(messages: Sequence[MessageSummary], width: int) -> Table:
    """One row for each. Ids, dates and sizes are always whole; sender and subject share what is left of `width`."""
    rows = [
        (
            Text(str(one.id)),
            Text(_local(one.received_at)),
            Text("" if one.seen else "●", style="cyan"),
            Text(one_line(one.from_name or one.from_email)),
            Text(
                one_line(one.subject) or "(no subject)",
                style=("dim " if not one.subject else "") + ("" if one.seen else "bold"),
            ),
            Text.from_markup(_marks(one)),
            Text(size(one.size)),
        )
        for one in messages
    ]
    names = ("id", "received", "", "from", "subject", "", "size")
    cells = [max(map(cell_len, (name, *(row[place].plain for row in rows)))) for place, name in enumerate(names)]
    left = max(width - sum(cells) + cells[_FROM] + cells[_SUBJECT] - 2 * (len(names) - 1), 2 * _LEAST)
    cells[_FROM] = min(cells[_FROM], _LONGEST_FROM, max(_LEAST, left // 3))
    cells[_SUBJECT] = min(cells[_SUBJECT], left - cells[_FROM])
    found = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name, count in zip(names, cells, strict=True):
        found.add_column(name, width=count, no_wrap=True, justify="right" if name in ("id", "size") else "left")
    for row in rows:
        found.add_row(*row)
    return found


def show(console: Console, message: MessageDetail) -> None:
    """Who, when, what, its way, its attachments, its text."""
    one = message.summary
    facts = [
        ("subject", one.subject or "(no subject)"),
        ("from", address_text(one.from_name, one.from_email)),
        ("to", ", ".join(message.to)),
        ("cc", ", ".join(message.cc)),
        ("sent", _local(one.sent_at)),
        ("received", _local(one.received_at)),
        ("message id", one.message_id),
        ("mailbox", f"{one.account}/{one.mailbox}, UIDVALIDITY {one.uidvalidity}, UID {one.uid}"),
        ("flags", ", ".join(in_words(one.flags)) + (f", since {_local(one.flags_at)}" if one.flags_at else "")),
        ("size", f"{size(one.size)}, SHA-256 {message.sha256}"),
        ("its way", _way(message)),
        ("expunged", _local(one.expunged_at)),
        ("defects", ", ".join(message.defects)),
    ]
    for name, value in facts:
        if value:
            console.print(Text.assemble((f"{name:<11}", "dim"), one_line(value)), soft_wrap=True)
    for attachment in message.attachments:
        console.print(_attachment(attachment), soft_wrap=True)
    if message.attachments:
        say(console, f"{'':<11}mozzart messages save {one.id} takes a copy of them", style="dim")
    console.print()
    if message.body_text.strip():
        write(message.body_text)
    elif message.body_html:
        say(
            console, f"What can be read of its HTML; all of it: mozzart messages show {one.id} --part html", style="dim"
        )
        write(readable(message.body_html))


def _marks(one: MessageSummary) -> str:
    """Flagged, answered, gone from the server, with attachments."""
    marks = [("★", one.flagged), ("↩", one.answered), ("[red]gone[/]", one.expunged_at), ("📎", one.has_attachments)]
    return " ".join(mark for mark, is_so in marks if is_so)


def _attachment(one: AttachmentDetail) -> Text:
    word = "inline" if one.inline else "attachment"
    facts = f"  part {one.part_id}, {one.content_type}, {size(one.size)}"
    return Text.assemble((f"{word:<11}", "dim"), one_line(one.filename or "(no name)"), (one_line(facts), "dim"))


def _way(message: MessageDetail) -> str:
    """How it came here, with the milliseconds since the server's hint."""
    one = message.summary
    steps = [("pushed", message.pushed_at), ("published", message.published_at), ("stored", one.stored_at)]
    known = [(name, at) for name, at in steps if at is not None]
    first = known[0][1]
    told = [
        f"{name} {_local(at)}" if at is first else f"{name} +{(at - first).total_seconds() * 1000:,.1f} ms"
        for name, at in known
    ]
    found = f"found by {message.found_by}" if message.found_by else ""
    place = f"event {message.stream_seq}" if message.stream_seq else ""
    kind = f"copy of {message.origin}" if message.origin else message.kind or ""
    return ", ".join(part for part in (kind, found, *told, place) if part)


def write(text: str) -> None:
    """As it is, for a pipe as for a person, but that nothing in it pretends."""
    shown = lines(text)
    sys.stdout.write(shown if not shown or shown.endswith("\n") else f"{shown}\n")
    sys.stdout.flush()


def say(console: Console, line: str, *, style: str = "") -> None:
    """One line, not broken."""
    console.print(Text(one_line(line), style=style), soft_wrap=True)


def _local(moment: datetime | None) -> str:
    """In the zone of whoever reads."""
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
