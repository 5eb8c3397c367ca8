"""The beginning of headers as the database has them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.store.headers import beginning
from mailcore.store.transactions import OPTIONS

FIELDS = st.lists(st.tuples(st.text(max_size=8), st.text(max_size=20)), max_size=5)


def as_postgresql(pairs: object) -> str:
    return json.dumps(pairs, ensure_ascii=False)


@pytest.mark.parametrize("as_text", [OPTIONS["json_serializer"], as_postgresql, json.dumps])
@given(pairs=FIELDS, cut=st.integers(0, 400))
def test_of_what_was_cut_the_whole_fields_are_there_and_the_beginning_of_one(
    as_text: object, pairs: list[tuple[str, str]], cut: int
) -> None:
    assert callable(as_text)
    text = as_text(pairs)
    found = beginning(text[:cut])
    if cut >= len(text):
        assert found == pairs
        return
    *whole, last = found or [("", "")]
    assert whole == pairs[: len(whole)]
    if found:
        name, value = pairs[len(whole)]
        # Where half of a surrogate pair was cut off, the other half is there.
        assert last[0] == name
        assert value.encode("utf-16", "surrogatepass").startswith(last[1].encode("utf-16", "surrogatepass"))
    missing = pairs[len(found) :]
    assert len(as_text(missing[1:])) <= len(text) - cut + 4


def test_a_field_of_which_only_the_name_is_there_is_none() -> None:
    assert beginning('[["X-Long') == beginning('[["X-Long"') == beginning('[["X-Long",') == beginning("[") == []
    assert beginning('[["X-Long","') == [("X-Long", "")]
    assert beginning('[["A", "b"], ["X-Long", "c\\') == [("A", "b"), ("X-Long", "c")]
