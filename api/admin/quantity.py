"""Numbers, sizes and times as people read them, for templates. Pure, but for `now`."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Final

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from api.admin.portion import beginning, listed
from mailcore.visible import one_line, references

_UNITS: Final = ("kB", "MB", "GB")
_SPANS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def size(count: int) -> str:
    """Bytes in decimal units: 703 B, 35.6 kB, 1.2 GB."""
    if count < 1000:
        return f"{count} B"
    for power, unit in enumerate(_UNITS, start=1):
        if count < 999_950 * 1000 ** (power - 1):
            return f"{count / 1000**power:.1f} {unit}"
    return f"{count / 1000**4:.1f} TB"


def number(count: int) -> str:
    """1,234,567."""
    return f"{count:,}"


def counted(count: int, one: str, many: str = "") -> str:
    """1 message, 2,000 messages."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def span(seconds: float) -> str:
    """In one unit, rounded down: 12 s. Below ten seconds in milliseconds where that says more: 41 ms."""
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    for length, unit in _SPANS:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return "0 s"


def took(seconds: float) -> str:
    """How long something of ours took: 41 ms, 1.3 s, 12 s."""
    return f"{seconds:.1f} s" if 1 <= seconds < 9.95 else span(seconds)


def ago(moment: datetime, now: datetime) -> str:
    """How long before `now`: just now, 12 s ago."""
    seconds = (now - moment).total_seconds()
    return "just now" if seconds < 2 else f"{span(seconds)} ago"


def at(moment: datetime, zone: tzinfo) -> str:
    """2026-11-22 21:57:03 UTC."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


@pass_context
def time_ago(context: Context, moment: datetime | None) -> Markup:
    """`<time>` that says how long ago; the page's script lets it grow older."""
    if moment is None:
        return Markup('<span class="soft">never</span>')
    return Markup('<time datetime="{}" data-ago title="{}">{}</time>').format(
        _iso(moment), at(moment, context["zone"]), ago(moment, datetime.now(UTC))
    )


@pass_context
def time_for(context: Context, moment: datetime) -> Markup:
    """`<time>` that says for how long it has been so: for 19 s; the page's script lets it grow longer."""
    words = f"for {ago(moment, datetime.now(UTC)).removesuffix(' ago')}".replace("for just now", "just now")
    return Markup('<time datetime="{}" data-for title="{}">{}</time>').format(
        _iso(moment), at(moment, context["zone"]), words
    )


@pass_context
def time_at(context: Context, moment: datetime | None, style: str = "") -> Markup:
    """`<time>`; the page's script says it as the reader writes times, `short` or `exact` if told so."""
    if moment is None:
        return Markup('<span class="soft">–</span>')
    words = at(moment, context["zone"])
    return Markup('<time datetime="{}" data-local="{}" title="{}">{}</time>').format(_iso(moment), style, words, words)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pass_context
def time_until(context: Context, moment: datetime | None) -> Markup:
    """`<time>` that says in how long: in 8 min."""
    if moment is None:
        return Markup('<span class="soft">–</span>')
    left = (moment - datetime.now(UTC)).total_seconds()
    words = f"in {span(left)}" if left >= 1 else "now"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(_iso(moment), at(moment, context["zone"]), words)


def exact(text: str) -> Markup:
    """The value of a field that comes back to us: all of it, though not as it could be taken for something else."""
    # Lone surrogates, as in a name that is no modified UTF-7, have no UTF-8: `?`, as in the api.
    return Markup(references(str(escape(text.encode(errors="replace").decode()))))  # noqa: S704  # nosec B704  # it is escaped


FILTERS: Final = {
    "beginning": beginning,
    "listed": listed,
    "exact": exact,
    "foreign": one_line,
    "size": size,
    "number": number,
    "counted": counted,
    "took": took,
    "time_ago": time_ago,
    "time_for": time_for,
    "time_at": time_at,
    "time_until": time_until,
}
