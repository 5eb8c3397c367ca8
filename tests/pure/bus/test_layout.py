from __future__ import annotations

import fnmatch
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.bus.layout.streams import MAIL, MAIL_BACKFILL, MAIL_DEAD, MAIL_EVENTS, Limits, ns, streams
from mailcore.bus.layout.subjects import filters_by_stream, intersection

tokens = st.sampled_from(["a", "b", "*"])
patterns = st.builds(
    lambda parts, tail: ".".join([*parts, ">"] if tail else parts),
    st.lists(tokens, min_size=1, max_size=3),
    st.booleans(),
)
subjects = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=5)


def matches(pattern: str, subject: list[str]) -> bool:
    parts = pattern.split(".")
    if parts[-1] == ">":
        parts = parts[:-1]
        if len(subject) <= len(parts):
            return False
        subject = subject[: len(parts)]
    return len(parts) == len(subject) and all(fnmatch.fnmatchcase(s, p) for p, s in zip(parts, subject, strict=True))


@given(patterns, patterns, subjects)
def test_the_intersection_matches_what_both_match(one: str, other: str, subject: list[str]) -> None:
    both = intersection(one, other)
    assert (both is not None and matches(both, subject)) == (matches(one, subject) and matches(other, subject))


@pytest.mark.parametrize(
    ("wanted", "filters"),
    [
        ("mail.*.*.stored", {MAIL_EVENTS: ["mail.*.*.stored"]}),
        ("mail.default.INBOX.*", {MAIL: 2, MAIL_BACKFILL: 2, MAIL_EVENTS: 10}),
        (">", {MAIL: 2, MAIL_BACKFILL: 2, MAIL_EVENTS: 10, MAIL_DEAD: 1}),
        ("dead.>", {MAIL_DEAD: ["dead.>"]}),
        ("mozzart.>", {}),
    ],
)
def test_a_filter_finds_its_streams(wanted: str, filters: dict[str, list[str] | int]) -> None:
    found = filters_by_stream(wanted)
    assert set(found) == set(filters)
    for stream, expected in filters.items():
        assert expected in (found[stream], len(found[stream]))


def test_a_body_outlives_the_event_that_names_it() -> None:
    made = streams(Limits(max_age=timedelta(days=2)))
    assert made["OBJ_mail-bodies"]["max_age"] > made[MAIL]["max_age"] == ns(timedelta(days=2)) == 172_800 * 10**9


def test_the_events_have_limits_of_their_own_or_an_eighth_of_those_of_mail() -> None:
    plain = streams(Limits(max_age=timedelta(days=2), max_bytes=1 << 30))[MAIL_EVENTS]
    assert (plain["max_age"], plain["max_bytes"]) == (ns(timedelta(days=2)), 128 << 20)

    own = Limits(max_bytes=1 << 30, events_max_age=timedelta(days=9), events_max_bytes=512 << 20)
    made = streams(own)
    assert (made[MAIL_EVENTS]["max_age"], made[MAIL_EVENTS]["max_bytes"]) == (ns(timedelta(days=9)), 512 << 20)
    assert (made[MAIL]["max_age"], made[MAIL]["max_bytes"]) == (ns(timedelta(days=3)), 1 << 30)

    assert own.halved() == Limits(max_bytes=512 << 20, events_max_age=timedelta(days=9), events_max_bytes=256 << 20)
    assert Limits(max_bytes=1 << 30).halved() == Limits(max_bytes=512 << 20)
