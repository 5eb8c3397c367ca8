from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.bus.jetstream.delivery import Delivery, Metadata, parse_metadata
from mailcore.errors import EventError

NINE = "$JS.ACK.MAIL.store.2.30.40.1700000000123456789.5"
METADATA = Metadata("MAIL", 2, 30, 40, datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC), 5)


@pytest.mark.parametrize(
    "reply",
    [
        NINE,
        "$JS.ACK.hub.AHASH.MAIL.store.2.30.40.1700000000123456789.5.random",
        "$JS.ACK._.AHASH.MAIL.store.2.30.40.1700000000123456789.5",
    ],
)
def test_both_forms_of_the_reply_subject_are_read(reply: str) -> None:
    assert parse_metadata(reply) == METADATA


@given(st.text())
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(EventError, match="not a JetStream reply subject"):
        parse_metadata("$JS.ACK." + text)


def delivery(sent: list[tuple[str, bytes]]) -> Delivery:
    return Delivery(
        "s", b"", METADATA, b"NATS/1.0\r\na: b\r\n\r\n", NINE, lambda reply, payload: sent.append((reply, payload))
    )


def test_only_the_first_settling_is_sent() -> None:
    sent: list[tuple[str, bytes]] = []
    one = delivery(sent)
    one.in_progress()
    one.nak(1.5)
    one.ack()
    one.term()
    one.in_progress()
    for way in (Delivery.ack, Delivery.nak, Delivery.term):
        way(delivery(sent))
    assert {reply for reply, _ in sent} == {NINE}
    assert [payload for _, payload in sent] == [b"+WPI", b'-NAK {"delay": 1500000000}', b"+ACK", b"-NAK", b"+TERM"]


def test_headers_are_read_when_asked_for() -> None:
    one = delivery([])
    assert one.headers == {"a": "b"}
    assert (one.stream, one.seq, one.deliveries, one.pending) == ("MAIL", 30, 2, 5)
