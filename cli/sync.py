"""`mozzart sync`: one reconciliation now, followed until it is stored."""

from __future__ import annotations

import asyncio
from typing import Final

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli import exit_code
from cli.audited import note
from cli.troubles import safe
from mailcore.bus import Bus
from mailcore.errors import BusError, MozzartError, SettingsError
from mailcore.events import control
from mailcore.events.control import MailboxResult, Refusal, SyncResult, SyncRun, SyncStart
from mailcore.settings import NOT_CONFIGURED, Settings

_ANSWER_WITHIN: Final = 5.0
# Each poll waits at the syncer, at most this long, for the run to end: the bar moves, and the end is told at once.
_POLL: Final = 0.25
# The syncer may be restarting; a run that it does not know any more is over.
_PATIENCE: Final = 30.0

_EXIT: Final = {"ok": exit_code.OK, "partial": exit_code.PARTIAL, "failed": exit_code.FAILED}


async def run(settings: Settings, account: str | None, mailbox: str | None) -> int:
    """Raises BusError when no syncer answers."""
    if not settings.imap_configured and not settings.nats_url and not settings.nats_url_path.exists():
        raise SettingsError(f"{NOT_CONFIGURED} Set IMAP_HOST, IMAP_USER and IMAP_PASSWORD, then start `mozzart up`.")
    bus = await Bus.connect(settings.with_nats_url().nats_url, name="sync", connect_timeout=_ANSWER_WITHIN)
    console = Console(highlight=False, emoji=False)
    try:
        request = SyncStart(account=account, mailbox=mailbox)
        result = _read(await bus.request(control.START, request.model_dump_json().encode(), _ANSWER_WITHIN))
        await note(settings, "synced", "/".join(filter(None, (account, mailbox))) or "all mailboxes")
        result = await _follow(bus, result, console)
    finally:
        await bus.close()
    _show(result, console)
    # A sync that ended in order and did not get all that is listed is no success.
    return exit_code.PARTIAL if result.status == "ok" and _lacking(result) else _EXIT[result.status]


def _lacking(result: SyncRun) -> bool:
    return any(one.error for one in result.results)


async def _follow(bus: Bus, result: SyncRun, console: Console) -> SyncRun:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
    )
    silent_since: float | None = None
    clock = asyncio.get_running_loop().time
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("comparing", total=None, count="")
        while result.status == "running":
            try:
                asked = SyncResult(run_id=result.run_id, wait=_POLL)
                result = _read(await bus.request(control.RESULT, asked.model_dump_json().encode(), _ANSWER_WITHIN))
                silent_since = None
            except BusError:
                silent_since = silent_since or clock()
                if clock() - silent_since > _PATIENCE:
                    raise
                await asyncio.sleep(_POLL)
            if result.found:  # until then nobody knows how many there will be
                progress.update(
                    bar,
                    description="storing",
                    total=result.found,
                    completed=result.stored,
                    count=f"{result.stored:,} of {result.found:,} messages",
                )
    return result


def _read(answer: bytes) -> SyncRun:
    try:
        return SyncRun.model_validate_json(answer)
    except ValidationError:
        refusal = Refusal.model_validate_json(answer)
    if refusal.code == "unknown-run":
        raise MozzartError(
            "The syncer was restarted and has forgotten this run; its sweep at start does the same work."
        )
    if refusal.code == "not-configured":
        raise SettingsError(refusal.message)
    raise MozzartError(refusal.message)


def _show(result: SyncRun, console: Console) -> None:
    for one in result.results:
        # A reason stays one line for whoever copies it, or reads it from a file.
        console.print(f"{_mark(one)} [bold]{safe(f'{one.account}/{one.mailbox}')}[/]  {_facts(one)}", soft_wrap=True)
    if len(result.results) != 1:
        ok = "[yellow]not all could be fetched[/]" if _lacking(result) else "[green]all mailboxes are in step[/]"
        word = {"ok": ok, "partial": "[yellow]some mailboxes failed[/]"}
        console.print(
            f"{word.get(result.status, '[red]no mailbox could be synced[/]')}: found {result.found}, "
            f"stored {result.stored}, expunged {result.expunged} in {result.duration_ms} ms"
        )


def _mark(one: MailboxResult) -> str:
    if one.status == "ok" and one.error:
        return "[yellow]![/]"
    return {"ok": "[green]✓[/]", "failed": "[red]✗[/]"}.get(one.status, "…")


def _facts(one: MailboxResult) -> str:
    if one.status == "failed":
        return f"[red]{safe(one.error) or 'failed'}[/]"
    if one.error:
        return f"{_counts(one)}  [yellow]{safe(one.error)}[/]"
    if not (one.found or one.expunged):
        return f"in step, nothing was missing  [dim]{one.duration_ms} ms[/]"
    return _counts(one)


def _counts(one: MailboxResult) -> str:
    return (
        f"found {one.found}, published {one.published}, stored {one.stored}, expunged {one.expunged}  "
        f"[dim]{one.duration_ms} ms[/]"
    )
