"""What keeps a mailbox from being whole, in the words of the terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from rich.markup import escape

from cli.quantity import ago, counted, span
from mailcore.events.control import RefusedMessage
from mailcore.log import strike_out
from mailcore.trouble import Kind, Trouble
from mailcore.visible import one_line

_COLOURS: Final = {Kind.FAILING: "red", Kind.FAILED: "red", Kind.NOTE: "dim", Kind.BUDGET: "dim"}
_MARKS: Final = {Kind.FAILING: "[red]✗[/]", Kind.FAILED: "[red]✗[/]", Kind.NOTE: "[dim]·[/]", Kind.BUDGET: "[dim]·[/]"}


def lines(name: str, trouble: Trouble, now: datetime, most: int = 3) -> Iterator[str]:
    """Markup: one line that names the mailbox, and one for each of the first `most` refused messages."""
    mark, colour = _MARKS.get(trouble.kind, "[yellow]![/]"), _COLOURS.get(trouble.kind, "yellow")
    yield f"{mark} [bold]{safe(name)}[/]  [{colour}]{safe(said(trouble, now))}[/]"
    if trouble.kind is Kind.REFUSED:
        yield from listed(trouble.messages, trouble.count, now, most)


def said(trouble: Trouble, now: datetime) -> str:
    """`paused until 14:05 UTC (in 12 min), since 13:50 UTC (3 min ago): NO [OVERQUOTA] …`: foreign text, no markup."""
    words = trouble.words or "no reason given"
    since = f" since {past(trouble.since, now)}" if trouble.since else ""
    if trouble.kind is Kind.REFUSED:
        return f"{counted(trouble.count, 'message')} refused{since}"
    if trouble.kind is Kind.BUDGET and trouble.until:
        return f"the budget of the day is fetched; older mail goes on at {to_come(trouble.until, now)}: {words}"
    if trouble.kind is Kind.PAUSED and trouble.until:
        return f"paused until {to_come(trouble.until, now)}{since and ',' + since}: {words}"
    if trouble.kind is Kind.FAILING:
        return f"failing{since}: {words}"
    if trouble.kind is Kind.NOTE:
        return words
    return f"the last sweep {_ENDS[trouble.kind]}, {ago(trouble.since, now)}: {words}"


_ENDS: Final = {Kind.FAILED: "failed", Kind.INCOMPLETE: "was not whole"}


def listed(messages: Iterable[RefusedMessage], count: int, now: datetime, most: int | None = None) -> Iterator[str]:
    """A line for each of the first `most`, and one for the rest of `count`."""
    shown = 0
    for one in messages:
        if shown == most:
            break
        shown += 1
        yield (
            f"    UID {one.uid}: {safe(one.reason)}[dim], since {past(one.since, now)}, "
            f"{counted(one.tries, 'try', 'tries')}, next try {to_come(one.next_try, now)}[/]"
        )
    if shown < count:
        yield f"    [dim]… and {count - shown:,} more; `mozzart verify` names them[/]"


def past(at: datetime, now: datetime) -> str:
    """`14:05 UTC (8 min ago)`."""
    return f"{_clock(at, now)} ({ago(at, now)})"


def to_come(at: datetime, now: datetime) -> str:
    """`14:05 UTC (in 8 min)`, or `now` when it has come."""
    return "now" if at <= now else f"{_clock(at, now)} (in {span(now, at)})"


def _clock(at: datetime, now: datetime) -> str:
    at = at.astimezone(UTC)
    return f"{at:%H:%M} UTC" if at.date() == now.astimezone(UTC).date() else f"{at:%Y-%m-%d %H:%M} UTC"


def safe(text: str) -> str:
    """Foreign text, as markup."""
    return escape(strike_out(one_line(text)))
