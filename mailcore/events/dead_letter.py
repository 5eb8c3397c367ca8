"""The entries of the stream MAIL_DEAD: the event that could not be stored, with its bytes and its error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote, unquote

from mailcore.errors import EventError
from mailcore.events.identity import Identity, MailboxKey
from mailcore.events.message import MAILBOX_ID, PUSHED_AT, dataref, kind_of, stamp
from mailcore.events.subject import encode_token

PREFIX: Final = "dead"
DEAD_BUCKET: Final = "mail-dead-bodies"
_DATAREF: Final = f"nats-object://{DEAD_BUCKET}/"
ERROR: Final = "mozzart-error"
DELIVERIES: Final = "mozzart-deliveries"
REDRIVEN: Final = "mozzart-redriven"
_ERROR_BYTES: Final = 4_000
_SEQUENCE: Final = re.compile(r"[1-9][0-9]{0,19}")
# All printable ASCII but `%`, our escape: the error stays readable in the header.
_READABLE: Final = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


def dead_subject(key: MailboxKey) -> str:
    return f"{PREFIX}.{encode_token(key.account)}.{encode_token(key.mailbox)}"


def dead_headers(headers: Mapping[str, str], error: str, deliveries: int, object_name: str = "") -> dict[str, str]:
    """The headers of the event that died, with what happened. `object_name` is set when its bytes are in the bucket
    `mail-dead-bodies`. Raises EventError when they name no message."""
    identity = identity_of(headers)
    out = {name: value for name, value in headers.items() if not name.startswith("Nats-") and name != "ce-dataref"}
    # What dies a second time is a second letter, also within the stream's duplicate window: the first one is gone.
    again = headers.get(REDRIVEN, "")
    out["Nats-Msg-Id"] = f"{identity}/dead/{again}" if _SEQUENCE.fullmatch(again) else f"{identity}/dead"
    out[ERROR] = quote(error, safe=_READABLE, errors="replace")[:_ERROR_BYTES].strip()
    out[DELIVERIES] = str(deliveries)
    if object_name:
        out["ce-dataref"] = _DATAREF + quote(object_name, safe="")
    return out


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One entry without its bytes, which are its payload or, if `object_name` is set, an object in the bucket
    `mail-dead-bodies`. `seq` is its sequence in MAIL_DEAD; `headers` are those of the event that died, with ours;
    `died_at` is when the stream took it."""

    seq: int
    identity: Identity
    error: str
    deliveries: int
    object_name: str
    headers: Mapping[str, str]
    died_at: datetime | None = None

    @property
    def size(self) -> int:
        """Of the message in bytes; 0 where nobody told."""
        text = self.headers.get("ce-size", "")
        return int(text) if _SEQUENCE.fullmatch(text) else 0

    @property
    def mailbox_id(self) -> int:
        return mailbox_id_of(self.headers)

    @property
    def kind(self) -> str:
        """What died: `new`, `backfill`, `copy`, `rebind`. Raises EventError when it says no such thing."""
        return kind_of(self.headers.get("ce-type", ""))

    def redrive_headers(self, now: datetime, object_name: str = "") -> dict[str, str]:
        """The headers of the event to be published again. The same letter gives the same Nats-Msg-Id, another one than
        the event that died had. How long it takes counts from `now`, not from when it came: nobody stored it for a year
        because we are slow. `object_name` is set when its bytes are in the bucket `mail-bodies`."""
        ours = (ERROR, DELIVERIES, "ce-dataref")
        out = {name: value for name, value in self.headers.items() if name not in ours and not name.startswith("Nats-")}
        out["Nats-Msg-Id"] = f"{self.identity}/redrive/{self.seq}"
        out[REDRIVEN] = str(self.seq)
        if PUSHED_AT in out:
            out[PUSHED_AT] = stamp(now)
        if object_name:
            out["ce-dataref"] = dataref(object_name)
        return out

    @classmethod
    def decode(cls, seq: int, headers: Mapping[str, str], died_at: datetime | None = None) -> DeadLetter:
        """Raises EventError."""
        try:
            deliveries = int(headers.get(DELIVERIES, "0"))
        except ValueError as error:
            raise EventError(f"not a dead letter: {error}") from error
        dataref = headers.get("ce-dataref", "")
        return cls(
            seq,
            identity_of(headers),
            unquote(headers.get(ERROR, ""), errors="replace"),
            deliveries,
            unquote(dataref.removeprefix(_DATAREF)) if dataref.startswith(_DATAREF) else "",
            headers,
            died_at,
        )


def mailbox_id_of(headers: Mapping[str, str]) -> int:
    """The row of the mailbox, 0 where the event does not tell."""
    text = headers.get(MAILBOX_ID, "")
    return int(text) if _SEQUENCE.fullmatch(text) else 0


def identity_of(headers: Mapping[str, str]) -> Identity:
    """The identity in `ce-id`, which in a thin event is followed by the type. Raises EventError."""
    return Identity.parse("/".join(headers.get("ce-id", "").split("/")[:4]))
