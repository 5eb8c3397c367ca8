"""A backfill is told now and then, with how many, how fast and how long still."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncer.progress import Progress


def test_a_backfill_has_lines_with_rate_and_time_left_and_an_end() -> None:
    progress = Progress()
    assert progress.look(20_000, 0.0) is None, "nothing is known of its speed"
    progress.stored = 4_000
    assert progress.look(16_000, 5.0) == (
        "backfill",
        {"stored": 4_000, "left": 16_000, "a_second": 800, "time_left": "0:00:20"},
    )
    assert progress.look(16_000, 10.0) == ("backfill", {"stored": 4_000, "left": 16_000, "a_second": 0}), "it stands"
    progress.stored = 20_000
    assert progress.look(0, 20.0) == ("backfill done", {"stored": 20_000, "took_s": 20.0, "a_second": 1_000})
    assert progress.look(0, 25.0) is None


def test_a_few_new_messages_are_no_backfill() -> None:
    progress = Progress()
    for second in range(0, 50, 5):
        progress.stored += 3
        assert progress.look(99, second) is None


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 10_000))))
def test_each_that_begins_and_comes_to_nothing_left_has_one_end(looks: list[tuple[int, int]]) -> None:
    progress, under_way = Progress(), False
    for second, (stored, left) in enumerate(looks):
        progress.stored += stored
        line = progress.look(left, float(second))
        assert (line is not None) == under_way
        if line is not None:
            assert (line[0] == "backfill done") == (left == 0)
        under_way = left > 0 if under_way else left >= 100
