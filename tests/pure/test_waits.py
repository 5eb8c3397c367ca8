"""What keeps mail from being stored, as processes tell it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from mailcore import waits as module
from mailcore.waits import Waits, facts


@pytest.fixture
def wind(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`wind(seconds)`: the clock goes on."""
    now = [1_800_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def answer(process: str, waits: Waits | None = None) -> bytes:
    return json.dumps({"process": process, **(facts(waits) if waits else {})}).encode()


def test_a_reason_counts_when_it_has_lasted_and_ends_with_whoever_had_it(wind: Callable[[float], None]) -> None:
    waits = Waits()
    waits.begin("lane", "the disk is full")
    assert facts(waits) == {}, "a moment is none"
    wind(10)
    waits.begin("lane", "the disk is still full")
    waits.begin("another", "locked")
    assert facts(waits)["waiting"] == "the disk is still full"
    assert facts(waits)["since"].startswith("2027-01-15T08:00:00")
    waits.end("lane")
    waits.end("another")
    assert facts(waits) == {}


def test_a_reason_that_nobody_repeats_is_forgotten(wind: Callable[[float], None]) -> None:
    waits = Waits()
    waits.begin("publisher", "no space")
    wind(60)
    assert facts(waits)
    wind(60)
    assert facts(waits) == {}


def test_who_is_absent_and_who_waits_are_faults(wind: Callable[[float], None]) -> None:
    full = Waits()
    full.begin("lane", "the disk is full")
    wind(10)
    assert module.told([answer("syncer"), answer("consumer")]) == module.Told({})
    assert module.told([answer("syncer"), answer("consumer"), answer("consumer", full)]) == module.Told(
        {"consumer": "waits since 08:00 UTC: the disk is full"}
    )
    assert module.told([answer("consumer"), b"no JSON", b"[]", b""]).faults.keys() == {"syncer"}
    assert "mail is not stored" in module.told([answer("syncer")]).faults["consumer"]


def test_what_a_person_has_to_order_is_no_fault_and_is_told_until_it_ends(wind: Callable[[float], None]) -> None:
    asking, who = Waits(), object()
    asking.ask(who, "say so")
    assert module.told([answer("syncer"), answer("consumer", asking), answer("consumer", asking)]) == module.Told(
        {}, ("say so",)
    )
    wind(10_000)
    assert facts(asking) == {"asks": "say so"}
    asking.end(who)
    assert facts(asking) == {}
