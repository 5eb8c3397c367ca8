"""One delivered event, and what its reply subject says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from mailcore.bus.core.headers import decode_headers
from mailcore.errors import EventError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# (reply subject, payload) → sent without waiting
Answerer = Callable[[str, bytes], None]


class Metadata(NamedTuple):
    """What `$JS.ACK…` says (NATS ADR-15): sequences in stream and consumer, deliveries, time stored, still to come."""

    stream: str
    deliveries: int
    seq: int
    consumer_seq: int
    published_at: datetime
    pending: int


def parse_metadata(reply: str) -> Metadata:
    """Both forms: nine tokens, or eleven and more with domain and account. Raises EventError."""
    tokens = reply.split(".")
    facts = tokens[4:] if len(tokens) >= 11 else tokens[2:] if len(tokens) == 9 else []
    try:
        stream, _, deliveries, seq, consumer_seq, stamp, pending, *_ = facts
        stored = _EPOCH + timedelta(microseconds=int(stamp) // 1000)
        return Metadata(stream, int(deliveries), int(seq), int(consumer_seq), stored, int(pending))
    except (ValueError, OverflowError) as error:
        raise EventError(f"not a JetStream reply subject: {reply[:200]!r}") from error


@dataclass(slots=True, eq=False)
class Delivery:
    """An event as a consumer gets it.

    `seq` is its sequence in the stream, `deliveries` counts this one, `published_at` (UTC) is when the stream took it,
    `pending` how many more wait behind it. Settling it (`ack`, `nak`, `term`) is sent without waiting for the server:
    one that gets lost leads to a redelivery. The first settling counts.
    """

    subject: str
    data: bytes
    metadata: Metadata
    block: bytes
    reply: str
    answerer: Answerer
    size: int = 0
    settled: bool = False
    _headers: dict[str, str] | None = None

    @property
    def headers(self) -> dict[str, str]:
        if self._headers is None:
            self._headers = decode_headers(self.block) if self.block else {}
        return self._headers

    @property
    def stream(self) -> str:
        return self.metadata.stream

    @property
    def seq(self) -> int:
        return self.metadata.seq

    @property
    def deliveries(self) -> int:
        return self.metadata.deliveries

    @property
    def published_at(self) -> datetime:
        return self.metadata.published_at

    @property
    def pending(self) -> int:
        return self.metadata.pending

    def ack(self) -> None:
        """Done: never deliver it to this durable again."""
        self._settle(b"+ACK")

    def nak(self, delay: float | None = None) -> None:
        """Not now: deliver it again, after `delay` seconds if given."""
        self._settle(b"-NAK" if not delay else b'-NAK {"delay": %d}' % round(delay * 1e9))

    def term(self) -> None:
        """Never again, though it was not done."""
        self._settle(b"+TERM")

    def in_progress(self) -> None:
        """Still at work: the ack_wait begins anew."""
        if not self.settled:
            self.answerer(self.reply, b"+WPI")

    def _settle(self, payload: bytes) -> None:
        if not self.settled:
            self.settled = True
            self.answerer(self.reply, payload)
