"""When a stream begins a second time, under sequences that it has given before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.bus import StreamPosition
from mailcore.sync.statuses import Standing
from syncer.in_flight import began_again


def at(last: int, created: str = "then") -> StreamPosition:
    return StreamPosition(1, last, last, 0, created, 0)


@pytest.mark.parametrize(
    ("before", "acked", "now", "again"),
    [
        (None, 0, at(0), False),
        (None, 5, at(5), False),
        (None, 6, at(5), True),
        (at(5), 0, at(5), False),
        (at(5), 0, at(9), False),
        (at(5), 0, at(4), True),
        (at(5), 8, at(7), True),
        (at(5), 0, at(5, "later"), True),
        (at(5), 0, at(50, "later"), True),
    ],
)
def test_a_stream_began_again_if_it_ends_before_what_it_had_or_was_made_since(
    before: StreamPosition | None, acked: int, now: StreamPosition, again: bool
) -> None:
    assert began_again(before, acked, now) is again


@given(st.integers(1, 20), st.integers(0, 20), st.integers(1, 20), st.integers(0, 20), st.booleans())
def test_what_a_stream_holds_unsettled_is_not_lost(seq: int, settled: int, first: int, last: int, anew: bool) -> None:
    held = first <= seq <= last and seq > settled
    assert Standing(settled, first, last, anew).lost(seq) is (anew or not held)
