"""Hints wait until they are taken, and only news is a hint."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mailcore.imap.news import MAX_HINTS, Hint, News
from mailcore.imap.response import Exists, Expunge, Fetch, Section, Vanished
from mailcore.imap.sequence import UidSet

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
hints = st.one_of(
    st.builds(Exists, st.integers(0, 5)),
    st.builds(Expunge, st.integers(1, 5)),
    st.builds(Vanished, st.sets(st.integers(1, 9), min_size=1).map(UidSet)),
    st.builds(Fetch, st.integers(1, 5), flags=st.just(("\\Seen",))),
)


@given(st.lists(hints))
def test_hints_are_taken_once_in_order_with_the_time_of_the_first(told: list[Hint]) -> None:
    news = News()
    kept = [hint for n, hint in enumerate(told) if news.record(hint, NOON + timedelta(seconds=n), selecting=False)]
    taken, since = news.take()
    assert list(taken) == kept
    assert all(hint in kept for hint in told if not isinstance(hint, Exists))
    assert (since is None) == (not kept)
    assert news.take() == ((), None)
    assert not news


def test_an_exists_that_repeats_the_number_known_is_no_news() -> None:
    news = News()
    assert not news.record(Exists(4), NOON, selecting=True)
    assert not news.record(Exists(4), NOON, selecting=False)
    assert news.record(Exists(5), NOON, selecting=False)
    assert news.record(Expunge(1), NOON, selecting=False)
    assert news.record(Exists(5), NOON, selecting=False)  # one went, one came
    assert news.record(Vanished(UidSet([1, 2])), NOON, selecting=False)
    assert news.exists == 3


def test_an_answer_about_the_past_and_data_without_flags_are_no_news() -> None:
    news = News()
    assert not news.record(Vanished(UidSet([1]), earlier=True), NOON, selecting=False)
    assert not news.record(Fetch(1, uid=3, size=5), NOON, selecting=False)


def test_a_body_that_nobody_asked_for_is_not_kept() -> None:
    news = News()
    assert news.record(Fetch(1, uid=3, flags=(), sections={"": Section(b"x" * 99, None, 99)}), NOON, selecting=False)
    assert news.take()[0] == (Fetch(1, uid=3, flags=()),)


def test_another_mailbox_begins_without_the_old_ones_hints() -> None:
    news = News()
    news.record(Exists(4), NOON, selecting=False)
    news.forget()
    assert (news.exists, bool(news)) == (None, False)


def test_where_nobody_takes_them_only_the_newest_stay() -> None:
    news = News()
    for seq in range(1, 3 * MAX_HINTS):
        news.record(Expunge(seq), NOON, selecting=False)
    taken, _ = news.take()
    assert len(taken) <= MAX_HINTS
    assert taken[-1] == Expunge(3 * MAX_HINTS - 1)
