"""`mozzart tail`: events as they come, one line each."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import unquote

from rich.console import Console
from rich.text import Text

from cli import exit_code
from mailcore.bus import Bus, Delivery
from mailcore.events.message import ORIGIN, stamp
from mailcore.events.subject import encode_token
from mailcore.imap.name import canonical
from mailcore.log import value_text
from mailcore.settings import Settings
from mailcore.visible import one_line

_COLOURS: Final = {
    "new": "bold cyan",
    "backfill": "cyan",
    "copy": "cyan",
    "rebind": "blue",
    "stored": "green",
    "expunged": "yellow",
    "flags": "blue",
    "reset": "bold yellow",
    "dead": "bold red",
    "synced": "dim",
    "mailbox-created": "bold",
    "mailbox-renamed": "bold",
    "mailbox-deleted": "bold yellow",
    "account": "bold yellow",
}
_FIRST: Final = ("subject", "from_email")
# What stands in the line's own columns already, or is of no use to the eye.
_LEFT_OUT: Final = frozenset(
    "account mailbox at uidvalidity uid sha256 pushed_at published_at run_id from_name to_emails cc_emails sent_at "
    "message_id has_text has_html files files_truncated".split()
)


@dataclass(frozen=True)
class Filter:
    """Which events. `subject`, a NATS filter, replaces the others; of `types`, none means all."""

    account: str | None = None
    mailbox: str | None = None
    types: Sequence[str] = ()
    subject: str | None = None

    @property
    def subjects(self) -> str:
        """The NATS filter that lets through all that is wanted, and more only where there are several types."""
        if self.subject is not None:
            return self.subject
        mailbox = canonical(self.mailbox) if self.mailbox is not None else None
        tokens = ["*" if name is None else encode_token(name) for name in (self.account, mailbox)]
        return ".".join(("mail", *tokens, self.types[0] if len(self.types) == 1 else "*"))

    def __contains__(self, subject: str) -> bool:
        return not self.types or _kind(subject) in self.types


async def run(
    settings: Settings,
    *,
    wanted: Filter,
    since: datetime | Literal["all"] | int | None = None,
    count: int | None = None,
    as_json: bool = False,
) -> int:
    """Until Ctrl-C, or `count` events. Raises BusError when NATS does not answer or the filter fits no stream."""
    bus = await Bus.connect(settings.nats_url, name="tail", connect_timeout=5)
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    left = count
    try:
        async with aclosing(bus.tail(wanted.subjects, since=since)) as events:
            async for event in events:
                if event.subject not in wanted:
                    continue
                if as_json:
                    sys.stdout.write(json.dumps(_facts(event)) + "\n")
                else:
                    console.print(_line(event))
                sys.stdout.flush()
                if left is not None:
                    left -= 1
                    if left <= 0:
                        break
    finally:
        await bus.close()
    return exit_code.OK


def _kind(subject: str) -> str:
    return subject.rpartition(".")[2]


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
        facts["data"] = _payload(event)
    return facts


def _payload(event: Delivery) -> Any:
    """Decoded; what is no JSON (anybody may publish) comes as its text, a payload left out by the stream as None."""
    try:
        return json.loads(event.data) if event.data else None
    except ValueError:
        return event.data.decode(errors="replace")


def _line(event: Delivery) -> Text:
    kind = _kind(event.subject)
    local = event.published_at.astimezone(UTC)
    return Text.assemble(
        (f"{local:%H:%M:%S}.{local.microsecond // 1000:03}Z ", "dim"),
        (f"{one_line(kind):<9}", _COLOURS.get(kind, "")),
        one_line(unquote(event.headers.get("ce-id", event.subject).removesuffix(f"/{kind}"))),
        ("  " + "  ".join(f"{name}={value_text(value)}" for name, value in _shown(event)), "dim"),
    )


def _shown(event: Delivery) -> list[tuple[str, object]]:
    if event.headers.get("content-type") == "application/json":
        data = _payload(event)
        facts = data if isinstance(data, dict) else {}
        shown = [
            (name, value) for name, value in facts.items() if name not in _LEFT_OUT and value not in (None, "", [])
        ]
        shown.sort(key=lambda fact: fact[0] not in _FIRST)
        return [
            (one_line(name), json.dumps(value) if isinstance(value, dict | list) else value) for name, value in shown
        ]
    names = {"size": "ce-size", "found_by": "ce-foundby", "origin": ORIGIN}
    return [(name, event.headers[header]) for name, header in names.items() if header in event.headers]
