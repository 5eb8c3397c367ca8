"""`mozzart tail`: events as they come, one line each."""

from __future__ import annotations

import json
import sys
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final, Literal

from rich.console import Console
from rich.text import Text

from cli import exit_code
from mailcore.bus import Bus, Delivery
from mailcore.errors import SettingsError
from mailcore.events.message import stamp
from mailcore.log import one_line, value_text
from mailcore.settings import Settings

_COLOURS: Final = {
    "new": "bold cyan",
    "backfill": "cyan",
    "stored": "green",
    "expunged": "yellow",
    "flags": "blue",
    "reset": "bold yellow",
    "dead": "bold red",
    "synced": "dim",
}
# What stands in the line's own columns already, or is of no use to the eye.
_LEFT_OUT: Final = frozenset(
    ("account", "mailbox", "at", "uidvalidity", "uid", "sha256", "pushed_at", "published_at", "run_id")
)


async def run(settings: Settings, *, since: str | None, subject: str, as_json: bool) -> int:
    """Until Ctrl-C. Raises BusError when NATS does not answer or the filter fits no stream."""
    start = _since(since)
    bus = await Bus.connect(settings.nats_url, name="tail", connect_timeout=5)
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    try:
        async with aclosing(bus.tail(subject, since=start)) as events:
            async for event in events:
                if as_json:
                    sys.stdout.write(json.dumps(_facts(event)) + "\n")
                    sys.stdout.flush()
                else:
                    console.print(_line(event))
    finally:
        await bus.close()
    return exit_code.OK


def _since(text: str | None) -> datetime | Literal["all"] | int | None:
    if text is None:
        return None
    if text == "all":
        return "all"
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"--since {text!r} is neither `all` nor a number of events nor a time (ISO 8601)") from None
    return moment if moment.tzinfo else moment.astimezone()


def _facts(event: Delivery) -> dict[str, Any]:
    """Everything but a message's body."""
    facts: dict[str, Any] = {
        "subject": event.subject,
        "stream": event.stream,
        "seq": event.seq,
        "published_at": stamp(event.published_at),
        "headers": event.headers,
    }
    if event.headers.get("content-type") == "application/json":
        facts["data"] = json.loads(event.data)
    return facts


def _line(event: Delivery) -> Text:
    kind = event.subject.rpartition(".")[2]
    local = event.published_at.astimezone(UTC)
    return Text.assemble(
        (f"{local:%H:%M:%S}.{local.microsecond // 1000:03}Z ", "dim"),
        (f"{kind:<9}", _COLOURS.get(kind, "")),
        one_line(event.headers.get("ce-id", event.subject).removesuffix(f"/{kind}")),
        ("  " + "  ".join(f"{name}={value_text(value)}" for name, value in _shown(event)), "dim"),
    )


def _shown(event: Delivery) -> list[tuple[str, object]]:
    if event.headers.get("content-type") == "application/json":
        data = json.loads(event.data)
        facts = data if isinstance(data, dict) else {}
        shown = [
            (name, value) for name, value in facts.items() if name not in _LEFT_OUT and value not in (None, "", [])
        ]
        return [(name, json.dumps(value) if isinstance(value, dict | list) else value) for name, value in shown]
    names = {"size": "ce-size", "found_by": "ce-foundby"}
    return [(name, event.headers[header]) for name, header in names.items() if header in event.headers]
