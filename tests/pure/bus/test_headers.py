from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.bus.core.headers import Status, decode_headers, decode_status, encode_headers
from mailcore.errors import EventError

header_names = st.from_regex(re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII), fullmatch=True)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126)).map(str.strip)


@given(st.dictionaries(header_names, values))
def test_headers_come_back(headers: dict[str, str]) -> None:
    block = encode_headers(headers)
    assert decode_headers(block) == headers
    assert decode_status(block) == Status(0)


@given(st.text(), st.text())
def test_no_value_can_end_its_line(name: str, value: str) -> None:
    try:
        block = encode_headers({name: value})
    except EventError:
        return
    assert block.count(b"\r\n") == 3


@given(st.binary())
def test_any_bytes_are_read_without_raising(block: bytes) -> None:
    decode_headers(block)
    decode_status(block)
    decode_status(b"NATS/1.0 " + block)


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "ž", "\x00", "\x7f"])
def test_what_is_not_printable_ascii_is_refused(value: str) -> None:
    with pytest.raises(EventError, match=r"^a header is not printable ASCII: 'a': "):
        encode_headers({"a": value})


@pytest.mark.parametrize(
    ("block", "status"),
    [
        (b"NATS/1.0 503\r\n\r\n", Status(503)),
        (b"NATS/1.0 404 No Messages\r\n\r\n", Status(404, "No Messages")),
        (
            b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\nNats-Pending-Bytes: 0\r\n\r\n",
            Status(408, "Request Timeout", {"Nats-Pending-Messages": "3", "Nats-Pending-Bytes": "0"}),
        ),
        (b"NATS/1.0\r\na: b\r\n\r\n", Status(0)),
        (b"", Status(0)),
    ],
)
def test_the_inline_status_is_read(block: bytes, status: Status) -> None:
    found = decode_status(block)
    assert (found.code, found.text) == (status.code, status.text)
    assert {**found.headers} == {**status.headers}


def test_of_a_repeated_name_the_last_value_counts_and_encoded_words_stay() -> None:
    block = b"NATS/1.0\r\na: 1\r\na:2\r\nno header line\r\nb: =?utf-8?q?x?=\r\n\r\n"
    assert decode_headers(block) == {"a": "2", "b": "=?utf-8?q?x?="}
