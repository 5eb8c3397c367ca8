from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.errors import EventError
from mailcore.events.message import INTERNALDATE_INVALID, MEANINGS, SIZE_DIFFERS, MessageEvent
from mailcore.mime import defects
from tests.pure.events.strategies import message_events
from tests.support.events import message


@given(message_events())
def test_a_message_event_comes_back(event: MessageEvent) -> None:
    headers = event.headers()
    assert all(value.isascii() and (value.isprintable() or not value) for value in headers.values())
    assert MessageEvent.decode(headers, event.body) == event


@given(
    st.dictionaries(
        st.sampled_from([*message(1).headers(), "ce-dataref", "mozzart-defects", "other"]),
        st.text() | st.sampled_from(["", "-1", "0", "1.5", "new", "2024-01-01", "nats-object://mail-bodies/"]),
    )
)
def test_damaged_headers_are_refused_and_nothing_else_raised(damage: dict[str, str]) -> None:
    event = message(1)
    with contextlib.suppress(EventError):
        MessageEvent.decode(event.headers() | damage, event.body)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in message(1).headers()
        if name.startswith("ce-") and name not in {"ce-flags", "ce-specversion", "ce-source", "ce-subject"}
    ],
)
def test_a_missing_header_is_named(name: str) -> None:
    headers = message(1).headers()
    del headers[name]
    with pytest.raises(EventError, match=name):
        MessageEvent.decode(headers, message(1).body)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("ce-type", "mozzart.mail.new.v2", "not an event type of ours"),
        ("ce-type", "new", "not an event type of ours"),
        ("ce-size", "20", "ce-size says 20 bytes, the payload has 21"),
        ("ce-size", "many", "not a message event"),
        ("ce-sha256", "A" * 64, "no SHA-256"),
        ("ce-receivedat", "2024-01-01T00:00:00", "without a zone"),
        ("ce-dataref", "file:///etc/passwd", "no object of ours"),
        ("mozzart-defects", "size-differs,\x1b[2J", "no list of words"),
    ],
)
def test_a_wrong_header_is_told(name: str, value: str, fault: str) -> None:
    with pytest.raises(EventError, match=fault):
        MessageEvent.decode(message(1).headers() | {name: value}, message(1).body)


def test_a_message_without_defects_has_no_header_for_them() -> None:
    assert "mozzart-defects" not in message(1).headers()
    event = replace(message(1), defects=(SIZE_DIFFERS, INTERNALDATE_INVALID))
    assert event.headers()["mozzart-defects"] == "size-differs,internaldate-invalid"


def test_the_defects_of_fetching_and_of_parsing_have_names_of_their_own() -> None:
    assert not MEANINGS.keys() & defects.MEANINGS.keys()


def test_a_claim_check_of_negative_size_is_refused() -> None:
    event = replace(message(1), body=b"", object_name="x", size=-1)
    with pytest.raises(EventError, match="ce-size says -1"):
        MessageEvent.decode(event.headers(), b"")


def test_flags_beyond_what_headers_bear_are_left_out() -> None:
    event = replace(message(1), flags=tuple(f"keyword-{number}" for number in range(10_000)))
    decoded = MessageEvent.decode(event.headers(), event.body)
    assert 500 < len(decoded.flags) < 10_000
    assert decoded.flags == event.flags[: len(decoded.flags)]
    assert sum(map(len, event.headers().values())) < 20_000
