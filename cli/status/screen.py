"""What `mozzart status` shows: one line for each part, one row for each mailbox. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli import troubles
from cli.quantity import ago, counted, size, span
from cli.status.overview import Overview
from mailcore.bus import MAIL_DEAD
from mailcore.events.control import MailboxLive
from mailcore.events.identity import MailboxKey
from mailcore.settings import NOT_CONFIGURED, Settings
from mailcore.store import MailboxState
from mailcore.trouble import SYNCED, paused
from mailcore.visible import one_line

_WIDE: Final = 110  # columns


def screen(settings: Settings, found: Overview, width: int) -> RenderableType:
    """All of it, at the moment of the look, for so many columns."""
    streams = ", ".join(f"{name} {one.messages:,} ({size(one.size)})" for name, one in found.streams.items())
    rate = "" if found.rate is None else f"  [dim]{found.rate:+,.0f} a second[/]"
    live = counted(len(found.live), "mailbox")
    lines = [
        _line("NATS", found.faults.get("NATS"), f"{escape(found.nats)}  [dim]{streams}[/]"),
        _line("database", found.faults.get("database"), counted(found.messages, "message") + rate),
        _line("syncer", found.faults.get("syncer"), live if found.live or settings.imap_configured else NOT_CONFIGURED),
    ]
    if "consumer" in found.faults:
        lines.append(_line("consumer", found.faults["consumer"], ""))
    if found.processes:
        running = ", ".join(f"{count} × {name}" if count > 1 else name for name, count in found.processes.items())
        lines.append(_line("processes", None, escape(one_line(running))))
    dead = found.streams.get(MAIL_DEAD)
    if dead is not None and dead.messages:
        lines.append(
            _unbroken(
                f"[yellow]![/] {'dead':<10} {counted(dead.messages, 'message')} could not be stored; "
                "see `mozzart dead-letters list`"
            )
        )
    for account in found.accounts:
        if account.state in ("failing", "paused"):
            said = f"{account.account}: {account.state}, {ago(account.since, found.at)}: {account.reason}"
            lines.append(_unbroken(f"[yellow]![/] {'account':<10} {troubles.safe(said)}"))
    lines += [_unbroken(f"[yellow]![/] {'pruning':<10} {escape(one_line(words))}") for words in found.asks]
    if found.undelivered:
        lines.append(
            _unbroken(
                f"[yellow]![/] {'webhook':<10} its receiver did not take {counted(found.undelivered, 'event')}; "
                "see `mozzart dead-letters list --webhook`"
            )
        )
    if not found.keys:
        return Group(*lines)
    wrong = (_unbroken(line) for key in found.keys for line in _troubles(key, found))
    return Group(*lines, _table(found, narrow=width < _WIDE), *wrong)


def _troubles(key: MailboxKey, found: Overview) -> Iterator[str]:
    for trouble in found.troubles(key):
        yield from troubles.lines(f"{key.account}/{key.mailbox}", trouble, found.at)


def _line(name: str, fault: str | None, text: str) -> Text:
    if fault is None:
        return _unbroken(f"[green]✓[/] {name:<10} {text}")
    return _unbroken(f"[red]✗[/] {name:<10} [red]{escape(one_line(fault))}[/]")


def _unbroken(markup: str) -> Text:
    """The terminal breaks a long line, not we: it stays one line for whoever copies it."""
    text = Text.from_markup(markup)
    text.no_wrap, text.overflow = True, "ignore"
    return text


def _table(found: Overview, *, narrow: bool) -> Table:
    """`narrow`: without the last push and since when it is connected, so that a name has room to be read."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("mailbox", overflow="fold")
    table.add_column("connection", no_wrap=True)
    for name in ("server", "stored", "flight") if narrow else ("on server", "stored", "in flight"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("last sync",) if narrow else ("last push", "last sync"):
        table.add_column(name, no_wrap=True)
    for key in found.keys:
        row, live = found.rows.get(key), found.live.get(key)
        pushed = () if narrow else (ago(row.last_push_at, found.at) if row else "–",)
        table.add_row(
            _name(key),
            _connection(live, found, narrow=narrow),
            f"{row.message_count:,}" if row else "–",
            _stored(row),
            f"{live.in_flight:,}" if live else "–",
            *pushed,
            _last_sync(row, found.at),
        )
    return table


def _name(key: MailboxKey) -> str:
    return escape(one_line(f"{key.account}/{key.mailbox}"))


def _connection(live: MailboxLive | None, found: Overview, *, narrow: bool) -> str:
    if live is None:
        return "[red]no syncer[/]" if "syncer" in found.faults else "[dim]not synced[/]"
    since = "" if narrow else f" [dim]for {span(live.since, found.at)}[/]"
    if paused(live, found.at):
        return f"[yellow]paused[/]{since}"
    colour = "green" if live.connection in SYNCED else "yellow"
    return f"[{colour}]{escape(one_line(live.connection))}[/]{since}"


def _stored(row: MailboxState | None) -> str:
    if row is None:
        return "–"
    # More stored than on the server is only the server's count being that of the last sweep.
    return f"{row.stored_count:,}" if row.stored_count >= row.message_count else f"[yellow]{row.stored_count:,}[/]"


def _last_sync(row: MailboxState | None, now: datetime) -> str:
    if row is None or row.last_sync_at is None:
        return "–"
    colour = {"ok": "green", "running": "green", "incomplete": "yellow"}.get(row.last_sync_status, "red")
    return f"[{colour}]{escape(row.last_sync_status)}[/] {ago(row.last_sync_at, now)}"
