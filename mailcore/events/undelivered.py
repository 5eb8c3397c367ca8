"""The entries of the stream WEBHOOK_DEAD: the thin event that a webhook's receiver did not take, with the reason; and
the request by which it is sent once more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, Field

from mailcore.errors import EventError
from mailcore.events import subject as subjects
from mailcore.events.fields import ErrorText
from mailcore.events.identity import MailboxKey

STREAM: Final = "WEBHOOK_DEAD"
PREFIX: Final = "webhook-dead"
ERROR: Final = "mozzart-error"
ATTEMPTS: Final = "mozzart-deliveries"
# Redeliver → Redelivered; the webhook process answers.
REDELIVER: Final = "mozzart.webhook.redeliver"
_READABLE: Final = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_ERROR_BYTES: Final = 1_000


def undelivered_subject(of_event: str) -> str:
    """`mail.default.INBOX.stored` → `webhook-dead.default.INBOX.stored`."""
    return f"{PREFIX}.{of_event.partition('.')[2]}"


def undelivered_headers(of_event: Mapping[str, str], error: str, attempts: int) -> dict[str, str]:
    """Those of the event, with what happened."""
    out = {name: value for name, value in of_event.items() if not name.startswith("Nats-")}
    out["Nats-Msg-Id"] = f"{of_event.get('ce-id', '')}/webhook"
    out[ERROR] = quote(error, safe=_READABLE)[:_ERROR_BYTES]
    out[ATTEMPTS] = str(attempts)
    return out


@dataclass(frozen=True, slots=True)
class Undelivered:
    """`seq` is its sequence in WEBHOOK_DEAD; `subject`, `headers` and `payload` are the event's; `type` is the last
    word of its subject; `given_up_at` is when the stream took it."""

    seq: int
    key: MailboxKey
    type: str
    subject: str
    error: str
    attempts: int
    headers: Mapping[str, str]
    payload: bytes
    given_up_at: datetime

    @property
    def id(self) -> str:
        """The event's own id, which the receiver gets as `webhook-id`."""
        return self.headers.get("ce-id", "")

    @classmethod
    def decode(
        cls, seq: int, subject: str, headers: Mapping[str, str], payload: bytes, given_up_at: datetime
    ) -> Undelivered:
        """Raises EventError."""
        prefix, _, rest = subject.partition(".")
        of_event = f"{subjects.PREFIX}.{rest}"
        if prefix != PREFIX:
            raise EventError(f"not an undelivered event: {subject[:200]!r}")
        key, kind = subjects.parse_subject(of_event)
        attempts = headers.get(ATTEMPTS, "")
        return cls(
            seq=seq,
            key=key,
            type=kind,
            subject=of_event,
            error=unquote(headers.get(ERROR, ""), errors="replace"),
            attempts=int(attempts) if attempts.isascii() and attempts.isdigit() and len(attempts) < 10 else 0,
            headers={name: value for name, value in headers.items() if name not in (ERROR, ATTEMPTS)},
            payload=payload,
            given_up_at=given_up_at,
        )


class Redeliver(BaseModel):
    """Send the event of this entry once more, now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seq: Annotated[int, Field(ge=1)]


class Redelivered(BaseModel):
    """`delivered`: the receiver took it, and the entry is gone; `refused`: it did not, `error` says why, the entry
    stays; `missing`: there is no such entry, or none that could be sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Literal["delivered", "refused", "missing"]
    error: ErrorText = ""
