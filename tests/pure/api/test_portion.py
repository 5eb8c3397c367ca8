"""As much of what a sender wrote as a page holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from api.admin.portion import beginning, fields, listed
from mailcore.visible import lines

TEXTS = st.text(st.sampled_from("ab<&\"'é\u202e\x00\U0001f600"), max_size=300)


def size(text: str) -> int:
    return len(escape(lines(text)).encode())


@given(TEXTS, st.integers(1, 400))
def test_a_beginning_takes_no_more_than_that_when_it_is_shown(text: str, most: int) -> None:
    shown = beginning(text, most)
    assert text.startswith(shown)
    assert size(shown) <= most
    assert shown == text or size(text) > most


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=10), st.integers(1, 2_000))
def test_fields_are_the_first_that_there_is_room_for(headers: list[tuple[str, str]], most: int) -> None:
    shown = fields(headers, most)
    assert shown == headers[: len(shown)]
    assert sum(size(name) + size(value) for name, value in shown) <= most


def test_a_long_field_is_cut_and_those_behind_it_are_shown() -> None:
    assert [len(value) for _, value in fields([("a", "x" * 1_000_000), ("b", "y")], 100_000)] == [10_000, 1]


def test_a_list_tells_how_many_more_there_are() -> None:
    assert listed(["a@b", "c@d"], 100) == "a@b, c@d"
    assert listed([f"a{number:05}@example.org" for number in range(10_000)], 100).endswith(
        "@example.org and 9,995 more"
    )
    assert listed(["x" * 10_000], 100) == "x" * 1_000
    assert listed([], 100) == ""
