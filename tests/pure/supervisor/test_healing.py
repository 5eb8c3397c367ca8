"""When the embedded nats-server is started again, and how much its streams may be promised."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.healing import RESTARTS_EVERY, Healing, Step
from supervisor.nats_server import MAX_PAYLOAD, SHARE, ceiling

LOOKS = st.lists(st.tuples(st.floats(0.1, 100), st.sampled_from(("", "MAIL: write x: no space")), st.booleans()))
BYTES = st.integers(0, 1 << 45)


@given(LOOKS)
def test_it_is_started_again_only_in_error_with_room_and_once_a_minute_at_most(
    looks: list[tuple[float, str, bool]],
) -> None:
    healing, now, last = Healing(), 0.0, float("-inf")
    for passed, error, room in looks:
        now += passed
        healing, step = healing.look(now, error, room)
        due = bool(error) and room and now - last >= RESTARTS_EVERY
        assert (step is Step.RESTART) == due
        if due:
            last = now


@given(LOOKS)
def test_that_there_is_no_room_is_told_once_for_each_time_it_is_in_error(looks: list[tuple[float, str, bool]]) -> None:
    healing, now, told = Healing(), 0.0, False
    for passed, error, room in looks:
        now += passed
        healing, step = healing.look(now, error, room)
        assert step is not Step.TELL or (error and not room and not told)
        told = (told or step is Step.TELL) and bool(error) and step is not Step.RESTART
        assert told or not error or room


@given(BYTES, BYTES, BYTES)
def test_what_streams_were_promised_stays_promised_and_the_rest_is_a_share_of_the_room(
    free: int, used: int, promised: int
) -> None:
    found = ceiling(free, used, promised)
    assert found >= promised + MAX_PAYLOAD
    assert found == promised + MAX_PAYLOAD or found <= (free + used) * SHARE
    assert ceiling(free - min(free, 1000), used + min(free, 1000), promised) == found, "what they write is their own"
