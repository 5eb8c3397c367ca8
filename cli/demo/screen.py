"""What the demo shows: a few lines for each mail, readable with and without colours, on a terminal and in a file."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from cli.quantity import size
from mailcore.events.thin import Stored
from mailcore.settings import Settings
from mailcore.visible import one_line

_MOST_CELLS: Final = 36
_FEWEST_CELLS: Final = 12
_BESIDE_THE_BAR: Final = 60
_STAGES: Final = (("pushed", "cyan"), ("published", "magenta"), ("stored", "green"))
_MEANING: Final = {
    "delivered": "the IMAP server has it",
    "pushed": "it told us (IDLE)",
    "published": "JetStream has the message",
    "stored": "row committed, files synced",
}


@dataclass(frozen=True)
class Attachment:
    filename: str
    size: int
    path: Path


@dataclass(frozen=True)
class Journey:
    """One mail's way; the times are aware, all from this machine's clock."""

    number: int
    sender: str
    subject: str
    size: int
    delivered: datetime
    pushed: datetime
    published: datetime
    stored: Stored
    attachments: list[Attachment]

    def milliseconds(self) -> dict[str, float]:
        """Each stage after delivery. A server that pushed before it answered APPEND had the mail when it pushed."""
        stages = {"pushed": self.pushed, "published": self.published, "stored": self.stored.at}
        began = min(self.delivered, *stages.values())
        return {name: (moment - began).total_seconds() * 1000 for name, moment in stages.items()}


class Screen:
    """Standard output of the demo."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._console = Console(highlight=False, soft_wrap=True, emoji=False)
        self._cells = max(_FEWEST_CELLS, min(_MOST_CELLS, self._console.width - _BESIDE_THE_BAR))
        self._totals: list[float] = []
        self.delivered = 0

    def ready(self) -> None:
        self._print("[green]✓[/] The syncer listens. Each mail's way, in ms since the IMAP server had it:\n")

    def trouble(self, text: str) -> None:
        self._print(f"[yellow]! {escape(one_line(text))}[/]")
        self._print(f"  [dim]What the processes say: {Path('demo.log').resolve()}[/]\n")

    def journey(self, journey: Journey) -> None:
        ms = journey.milliseconds()
        self._totals.append(ms["stored"])
        head = Text.assemble(
            (f" {journey.number:>3}  ", "dim"),
            (one_line(journey.subject), "bold"),
            ("  from ", "dim"),
            one_line(journey.sender),
            (f"  {size(journey.size)}", "dim"),
        )
        self._console.print(head)
        self._stage("delivered", "0.0 ms", Text("▏", "dim"))
        scale = max(1.0, ms["stored"] / self._cells)
        start = 0
        for name, colour in _STAGES:
            end = max(start, min(self._cells, round(ms[name] / scale)))
            bar = Text("▏", "dim") + Text(" " * start) + Text("━" * max(1, end - start), colour)
            self._stage(name, f"{ms[name]:+.1f} ms", bar)
            start = end
        facts = [f"row {journey.stored.row_id}", *(f"defect: {name}" for name in journey.stored.defects)]
        self._print(f"      [dim]database  [/] {escape(', '.join(facts))}")
        for attachment in journey.attachments:
            there = "" if attachment.path.is_file() else "  [red]not there![/]"
            name, path = escape(one_line(attachment.filename)), escape(str(attachment.path))
            self._print(f"      [dim]attachment[/] {name}  [dim]{size(attachment.size)}[/]")
            self._print(f"      [dim]on disk   [/] [link={attachment.path.as_uri()}]{path}[/link]{there}")
        self._print("")

    def farewell(self) -> None:
        if not self._totals:
            self._print("\nNo mail was told; nothing is left running.")
            return
        stored = len(self._totals)
        median, slowest = statistics.median(self._totals), max(self._totals)
        self._print(
            f"\n[bold]{self.delivered} mails delivered, {stored} stored[/]: "
            f"half within {median:.1f} ms, the slowest after {slowest:.1f} ms."
        )

    def _stage(self, name: str, milliseconds: str, bar: Text) -> None:
        line = Text.assemble("      ", (f"{name:<10}", "dim"), f"{milliseconds:>11}  ", bar)
        line.pad_right(self._cells + 32 - line.cell_len)
        self._console.print(line + Text(_MEANING[name], "dim"))

    def _print(self, markup: str) -> None:
        self._console.print(markup)
