"""What is kept of what was done, and that failed sign-ins do not flood it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.admin.audit import cells, rows
from mailcore.audit import LONGEST_OBJECT, LONGEST_WHO, Actor, Entry, Flood, entry

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def failed(seconds: float, who: str = "root") -> Entry:
    return entry(NOW + timedelta(seconds=seconds), "sign-in-failed", Actor("stranger", who, "192.0.2.1"))


@given(st.text(), st.text(), st.text())
def test_nothing_is_longer_than_the_table_takes(who: str, address: str, about: str) -> None:
    made = entry(NOW, "synced", Actor("user", who * 50, address * 50), about * 50)
    assert len(made.who) <= LONGEST_WHO
    assert len(made.object) <= LONGEST_OBJECT
    assert len(made.address) <= 60


@given(st.lists(st.integers(0, 600), max_size=300).map(sorted))
def test_each_failure_is_counted_once_and_few_entries_come_of_them(seconds: list[int]) -> None:
    flood = Flood(most=3)
    kept: list[Entry] = []
    for second in seconds:
        kept += flood.add(failed(second))
    assert flood.waits == (sum(one.count for one in kept) < len(seconds))
    kept += flood.end()

    assert sum(one.count for one in kept) == len(seconds)
    assert not flood.waits
    minutes = [(one.at - NOW) // timedelta(minutes=1) for one in kept]
    assert all(minutes.count(minute) <= 4 for minute in minutes)
    assert all((one.who, one.address) == (("", "") if one.count > 1 else (one.who, one.address)) for one in kept)


def test_what_shares_an_entry_has_no_name_for_all() -> None:
    flood = Flood(most=1)
    assert flood.add(failed(0)) == [failed(0)]
    assert flood.add(failed(1, "a")) == flood.add(failed(2, "b")) == []
    first, second = flood.add(failed(60))
    assert (first.who, first.address, first.count) == ("", "", 2)
    assert second == failed(60)


@pytest.mark.parametrize("who", ["=HYPERLINK(1)", "+1", "-1", "@a", "\t=1", "\r=1", 'a",b\n"c', "x\u202ey", "\ud800"])
def test_no_cell_of_an_export_is_a_formula_or_pretends(who: str) -> None:
    text = rows([cells(entry(NOW, "sign-in-failed", Actor("stranger", who)))]).decode()
    ((at, _, _, shown, *_),) = csv.reader(io.StringIO(text))
    assert at == "2026-11-28T12:00:00+00:00"
    assert shown.isprintable()
    assert not shown.startswith(("=", "+", "-", "@"))
