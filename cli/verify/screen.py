"""What `mozzart verify` says: a line for each mailbox, one for the files, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from rich.console import Console

from cli import troubles
from cli.quantity import counted, size
from cli.troubles import safe
from cli.verify.comparison import uids_text
from cli.verify.files import Files
from cli.verify.mailbox import Compared
from mailcore.store.audit import StoredFile

_SHOWN: Final = 20  # files; --json has them all

_MISSING: Final = "`mozzart sync` fetches what is missing and marks what is gone; `mozzart up` does so by itself."
_REFUSED: Final = (
    "The server lists them and does not give them; they are asked for again by themselves. "
    "docs/operations.md#when-messages-are-refused says what can be done at the server."
)
_DOUBLED: Final = (
    "They are of an earlier UIDVALIDITY; `mozzart sync` ends it once all mail of the present one is stored."
)
_FILES: Final = "Restore them from a backup of MEDIA_ROOT, or fetch those mails anew; nothing here mends them."


def show(
    console: Console,
    mailboxes: Sequence[Compared],
    failed: Mapping[str, str],
    files: Files | None,
    notes: Sequence[str],
    now: datetime,
) -> None:
    """Print all of it."""
    for one in mailboxes:
        _mailbox(console, one, now)
    for name, error in failed.items():
        _say(console, f"[red]✗[/] [bold]{safe(name)}[/]  [red]could not be compared: {safe(error)}[/]")
    if files is not None:
        _files(console, files)
    for note in notes:
        _say(console, f"[yellow]![/] {safe(note)}")


def _mailbox(console: Console, one: Compared, now: datetime) -> None:
    mark = "[green]✓[/]" if one.whole else "[red]✗[/]"
    scope = "" if one.wanted == one.on_server else f" ({one.wanted:,} wanted by IMAP_BACKFILL)"
    extra = "".join(
        f", {count:,} {words}" for count, words in ((one.in_flight, "in flight"), (one.dead, "dead letters")) if count
    )
    name = f"{one.key.account}/{one.key.mailbox}"
    _say(console, f"{mark} [bold]{safe(name)}[/]  {one.on_server:,} on the server{scope}, {one.stored:,} stored{extra}")
    for word, places in (
        ("missing", one.difference.missing),
        ("gone", one.difference.gone),
        ("doubled", one.difference.doubled),
    ):
        if places:
            _say(console, f"  [red]{len(places):,} {word}[/]  {safe(uids_text(places))}")
    if one.refused:
        _say(console, f"  [yellow]{len(one.refused):,} refused by the server[/]")
        for line in troubles.listed(one.refused, len(one.refused), now):
            _say(console, line)
        _say(console, f"  [dim]→ {_REFUSED}[/]")
    if one.difference.missing or one.difference.gone:
        _say(console, f"  [dim]→ {_MISSING}[/]")
    if one.difference.doubled:
        _say(console, f"  [dim]→ {_DOUBLED}[/]")


def _files(console: Console, files: Files) -> None:
    mark = "[red]✗[/]" if files else "[green]✓[/]"
    verdict = "" if files else ", each as it was stored"
    _say(console, f"{mark} [bold]files[/]  {counted(files.count, 'file')}, {size(files.size)}{verdict}")
    for words, found in (
        ("missing", files.missing),
        ("with another content", files.changed),
        ("not readable", files.unreadable),
    ):
        _list(console, words, found)
    if files:
        _say(console, f"  [dim]→ {_FILES}[/]")
    if files.unnamed:
        _say(
            console,
            f"[yellow]![/] {counted(len(files.unnamed), 'file')} that no row names, the first is "
            f"{safe(files.unnamed[0])} [dim](its message may be on its way, or a dead letter)[/]",
        )


def _list(console: Console, words: str, found: Sequence[StoredFile]) -> None:
    if not found:
        return
    _say(console, f"  [red]{len(found):,} {words}[/]")
    for each in found[:_SHOWN]:
        _say(console, f"    {safe(each.file)}  [dim]message {each.message_id}[/]")
    if len(found) > _SHOWN:
        _say(console, f"    [dim]… and {len(found) - _SHOWN:,} more; --json names them all[/]")


def _say(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True)
