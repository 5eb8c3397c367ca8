"""What fails again and again is told once for each reason, then seldom and counted, and once when it works again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailcore.sync.outage import REMIND, RESTLESS, Outage, reason

AWAY = "mail.example.com:993: could not connect: Connection refused"
parts = st.sampled_from(("sweep", "live", "fetch"))


def test_the_first_failure_is_told_and_the_same_one_is_not_told_again() -> None:
    outage = Outage()

    assert outage.failed("sweep", AWAY, 0) == {"error": AWAY}
    assert outage.failed("live", AWAY, 1) is None
    assert outage.failed("sweep", AWAY, 2) is None


def test_numbers_make_no_other_reason() -> None:
    outage = Outage()
    outage.failed("sweep", "Mailbox doesn't exist: Old (0.001 + 0.000 secs).", 0)

    assert outage.failed("sweep", "Mailbox doesn't exist: Old (0.002 + 0.000 secs).", 1) is None
    assert reason("a 1 b") == reason("a 22 b") != reason("a b")


def test_another_reason_is_told() -> None:
    outage = Outage()
    outage.failed("live", "closed by the server", 0)

    assert outage.failed("live", AWAY, 5) == {"error": AWAY, "failed_tries": 2, "failing_s": 5}


def test_the_end_is_told_once_when_all_parts_work() -> None:
    outage = Outage()
    outage.failed("sweep", AWAY, 0)
    outage.failed("live", AWAY, 1)

    assert outage.works("fetch", 2) is None  # that one never failed
    assert outage.works("sweep", 3) is None
    assert outage.works("live", 40) == {"failed_tries": 2, "failing_s": 40}
    assert outage.works("live", 41) is None


def test_what_fails_again_later_is_told_again() -> None:
    outage = Outage()
    outage.failed("sweep", AWAY, 0)
    outage.works("sweep", 1)

    assert outage.failed("sweep", AWAY, 1 + RESTLESS) == {"error": AWAY}


def test_what_works_for_a_moment_now_and_then_is_not_told_each_time() -> None:
    outage = Outage()
    outage.failed("live", AWAY, 0)
    outage.works("live", 1)

    for moment in range(10, 500, 10):
        assert outage.failed("live", AWAY, moment) is None
        assert outage.works("live", moment + 1) is None


def test_what_worked_for_a_moment_and_then_no_more_is_told_after_three_tries() -> None:
    outage = Outage()
    outage.failed("live", AWAY, 0)
    outage.works("live", 1)

    assert [bool(outage.failed("live", AWAY, moment)) for moment in (10, 11, 12, 13)] == [False, False, True, False]
    assert outage.works("live", 14) == {"failed_tries": 5, "failing_s": 14}


@given(st.lists(st.tuples(parts, st.floats(0.1, 60), st.text(max_size=5)), min_size=1, max_size=300))
def test_whatever_fails_how_often_lines_are_few(tries: list[tuple[str, float, str]]) -> None:
    outage, now, told = Outage(), 0.0, 0
    for part, pause, words in tries:
        now += pause
        told += outage.failed(part, words, now) is not None

    assert 1 <= told <= 8 + now / REMIND


@given(st.lists(st.tuples(st.booleans(), parts, st.floats(0, 200)), max_size=100))
def test_an_end_is_told_of_what_was_told_as_failing_and_of_nothing_else(acts: list[tuple[bool, str, float]]) -> None:
    outage, now, open_one = Outage(), 0.0, False
    for fails, part, pause in acts:
        now += pause
        if fails:
            open_one |= outage.failed(part, AWAY, now) is not None
        elif outage.works(part, now) is not None:
            assert open_one
            assert not outage.going_on
            open_one = False
    assert not open_one or outage.going_on
