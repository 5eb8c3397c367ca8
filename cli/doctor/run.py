"""`mozzart doctor`: does everything that is needed work, and if not, what to do. One line for each check."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape

from cli import exit_code
from cli.doctor import imap, local, running
from cli.doctor.finding import Finding
from cli.quantity import counted
from mailcore.log import strike_out
from mailcore.settings import Settings
from mailcore.visible import one_line


async def run(settings: Settings, *, as_json: bool = False) -> int:
    """FAILED when a check failed; a note is no failure."""
    console = Console(highlight=False, emoji=False, soft_wrap=True, quiet=as_json)
    failed = noted = 0
    settings = await local.with_accounts(settings)
    for check in (
        local.settings,
        imap.imap,
        running.nats,
        running.api,
        local.database,
        local.directories,
    ):
        async for finding in check(settings):
            failed += finding.verdict == "failed"
            noted += finding.verdict == "note"
            if as_json:
                sys.stdout.write(strike_out(json.dumps(asdict(finding))) + "\n")
            else:
                _show(console, finding)
    if failed:
        console.print(f"\n[red]{counted(failed, 'check')} failed.[/]")
    else:
        console.print("\n[green]No check failed.[/]" if noted else "\n[green]All is well.[/]")
    return exit_code.FAILED if failed else exit_code.OK


def _show(console: Console, finding: Finding) -> None:
    mark = {"ok": "[green]✓[/]", "note": "[yellow]![/]", "failed": "[red]✗[/]"}[finding.verdict]
    console.print(f"{mark} {finding.what:<9} {escape(strike_out(one_line(finding.text)))}")
    if finding.remedy:
        console.print(f"  {'':<9} [dim]→ {escape(one_line(finding.remedy))}[/]")
