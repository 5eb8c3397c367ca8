"""Mailbox names: modified UTF-7 for what is one, an escape for what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.imap.name import decode, encode

names = st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFFF))
nearly = st.lists(st.sampled_from([b"&", b"-", b"&-", b"&Jjo-", b"&2D3eAA-", b"A", b",", b"/", b"\xe4", b"\x00"])).map(
    b"".join
)


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("INBOX", b"INBOX"),
        ("Entwürfe & Söhne", b"Entw&APw-rfe &- S&APY-hne"),
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 §5.1.3
        ("☺!", b"&Jjo-!"),
        ("😀", b"&2D3eAA-"),
        ("a\tb", b"a&AAk-b"),
        ("", b""),
    ],
)
def test_known_names(name: str, wire: bytes) -> None:
    assert encode(name) == wire
    assert decode(wire) == name


@given(names)
def test_any_name_round_trips_as_printable_ascii(name: str) -> None:
    wire = encode(name)
    assert all(0x20 <= byte < 0x7F for byte in wire)
    assert decode(wire) == name


@given(st.binary() | nearly)
def test_any_bytes_decode_and_stay_addressable(raw: bytes) -> None:
    name = decode(raw)
    name.encode("utf-8")  # no lone surrogate: a database and a subject can hold it
    assert encode(name) == raw


@pytest.mark.parametrize("raw", [b"A&B", b"&Jjo!", b"&U,BTFw-&ZeVnLIqe-", b"&AGE-", b"Entw\xfcrfe", b"&2D0-", b"&"])
def test_what_is_no_modified_utf7_is_escaped(raw: bytes) -> None:
    assert any(ord(char) >= 0x10F000 for char in decode(raw))
    assert encode(decode(raw)) == raw


@given(st.text(st.characters(categories=["Cs"])))
def test_lone_surrogates_are_encoded_not_refused(name: str) -> None:
    encode(name)
