"""When an attempt is repeated, and when an event is given up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks.disposition import DELAYS, LEAST_ATTEMPTS, LONGEST, Action, Answer, dispose

answers = st.builds(
    Answer,
    st.none() | st.integers(100, 599),
    retry_after=st.none() | st.floats(0, 1e9),
)
attempts = st.integers(1, 10_000)
ages = st.timedeltas(timedelta(0), timedelta(days=30))


@given(answers, attempts, ages)
def test_only_2xx_is_done(answer: Answer, tried: int, age: timedelta) -> None:
    done = dispose(answer, attempts=tried, age=age).action is Action.DONE
    assert done == (answer.status is not None and answer.status // 100 == 2)


@given(answers, attempts, ages)
def test_nothing_but_410_is_given_up_before_a_day_and_eight_attempts(
    answer: Answer, tried: int, age: timedelta
) -> None:
    if dispose(answer, attempts=tried, age=age).action is Action.DEAD and answer.status != 410:
        assert age >= LONGEST
        assert tried >= LEAST_ATTEMPTS


@given(answers, attempts, ages, st.floats(0, 1, exclude_max=True))
def test_the_next_attempt_comes_within_a_quarter_of_an_hour_or_so(
    answer: Answer, tried: int, age: timedelta, jitter: float
) -> None:
    found = dispose(answer, attempts=tried, age=age, jitter=jitter)
    if found.action is Action.AGAIN:
        assert DELAYS[0] <= found.delay <= DELAYS[-1] * 1.2


def test_a_receiver_that_wants_no_more_is_not_asked_again() -> None:
    assert dispose(Answer(410), attempts=1, age=timedelta(0)).action is Action.DEAD


def test_pauses_grow_and_the_receiver_may_ask_for_longer_ones() -> None:
    pauses = [dispose(Answer(503), attempts=tried, age=timedelta(0)).delay for tried in range(1, 7)]
    assert pauses == [5, 15, 60, 300, 900, 900]
    assert dispose(Answer(429, retry_after=120), attempts=1, age=timedelta(0)).delay == 120


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(500), "HTTP 500"),
        (Answer(302), "redirects are not followed"),
        (Answer(None, "no connection"), "no conn"),
    ],
)
def test_an_answer_says_what_happened(answer: Answer, words: str) -> None:
    assert words in str(answer)
