"""Cursors of message lists."""

from __future__ import annotations

import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.paging import decode_cursor, encode_cursor
from mailcore.store import Cursor


@given(st.datetimes(timezones=st.just(UTC)), st.integers(1, 2**63 - 1))
def test_a_cursor_comes_back_as_it_went(moment: datetime, row_id: int) -> None:
    text = encode_cursor(Cursor(moment, row_id))
    assert decode_cursor(text) == Cursor(moment, row_id)
    assert set(text) <= set(string.ascii_letters + string.digits + "-_")


@given(st.text(max_size=30) | st.text(string.ascii_letters + string.digits + "-_", min_size=22, max_size=22))
def test_what_is_no_cursor_is_refused_or_is_one(text: str) -> None:
    try:
        cursor = decode_cursor(text)
    except ValueError:
        return
    assert encode_cursor(cursor) == text


@pytest.mark.parametrize("text", ["A" * 22, "_" * 22, "é" * 22, "AAAA", "A" * 23, "A" * 1000])
def test_a_cursor_that_was_made_up_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        decode_cursor(text)
