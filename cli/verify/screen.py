"""What `mozzart verify` says: a line for each mailbox, one for the files, and what can be done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from rich.console import Console

from cli import troubles
from cli.quantity import counted, size
from cli.troubles import safe
from cli.verify.comparison import Place, uids_text
from cli.verify.files import Files
from cli.verify.mailbox import Compared
from cli.verify.report import NOT_FOUND_YET, Report
from mailcore.difference import ADVICE, WORDS, Category

_SHOWN: Final = 20  # files; --json has them all
# Whatever is done, time mends these by itself, if all runs.
_MILD: Final = frozenset((Category.IN_FLIGHT, Category.REFUSED))


def show(console: Console, report: Report, now: datetime) -> None:
    """Print all of it; what can be done stands where a category comes first."""
    screen = _Screen(console, now)
    for one in report.mailboxes:
        screen.mailbox(one)
    for name, error in report.failed.items():
        screen.say(f"[red]✗[/] [bold]{safe(name)}[/]  [red]could not be compared: {safe(error)}[/]")
    if report.files is not None:
        screen.files(report.files)
    for note in report.notes:
        screen.say(f"[yellow]![/] {safe(note)}")


class _Screen:
    def __init__(self, console: Console, now: datetime) -> None:
        self._console = console
        self._now = now
        self._advised: set[Category] = set()

    def say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)

    def mailbox(self, one: Compared) -> None:
        mark = "[green]✓[/]" if one.equal else "[red]✗[/]"
        scope = "" if one.wanted == one.on_server else f" ({one.wanted:,} wanted by IMAP_BACKFILL)"
        name = f"{one.key.account}/{one.key.mailbox}"
        there = one.absent or f"{one.on_server:,} on the server{scope}"
        self.say(f"{mark} [bold]{safe(name)}[/]  {there}, {one.stored:,} stored")
        if one.doubt:
            self.say(f"  [red]could not be compared:[/] {safe(one.doubt)}")
        for category, places in one.differences.places.items():
            self._category(one, category, places)
            self._advise(category)

    def _category(self, one: Compared, category: Category, places: Collection[Place]) -> None:
        colour = "yellow" if category in _MILD else "red"
        if category is Category.REFUSED:
            self.say(f"  [{colour}]{len(places):,} {WORDS[category]}[/]")
            for line in troubles.listed(one.refused, len(one.refused), self._now):
                self.say(line)
            return
        unknown = f"  [dim]{NOT_FOUND_YET}[/]" if category is Category.MISSING and not one.known else ""
        self.say(f"  [{colour}]{len(places):,} {WORDS[category]}[/]  {safe(uids_text(places))}{unknown}")

    def files(self, files: Files) -> None:
        mark = "[red]✗[/]" if files else "[green]✓[/]"
        verdict = "" if files else ", each as it was stored"
        self.say(f"{mark} [bold]files[/]  {counted(files.count, 'file')}, {size(files.size)}{verdict}")
        for category, rows in files.rows.items():
            self._list(WORDS[category], [f"{safe(row.file)}  [dim]message {row.message_id}[/]" for row in rows])
            self._advise(category)
        if files.orphans:
            words = f"{'file' if len(files.orphans) == 1 else 'files'} {WORDS[Category.FILE_ORPHAN]}"
            self._list(words, [safe(file) for file in files.orphans])
            self._advise(Category.FILE_ORPHAN)

    def _list(self, words: str, lines: Sequence[str]) -> None:
        self.say(f"  [red]{len(lines):,} {words}[/]")
        for line in lines[:_SHOWN]:
            self.say(f"    {line}")
        if len(lines) > _SHOWN:
            self.say(f"    [dim]… and {len(lines) - _SHOWN:,} more; --json names them all[/]")

    def _advise(self, category: Category) -> None:
        if category not in self._advised:
            self._advised.add(category)
            self.say(f"  [dim]→ {ADVICE[category]}[/]")
