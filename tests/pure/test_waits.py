"""What keeps mail from being stored, as processes tell it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from mailcore.waits import Waits, facts, faults


@pytest.fixture
def wind(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`wind(seconds)`: the clock goes on."""
    now = [1_800_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def told(process: str, waits: Waits | None = None) -> bytes:
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
    assert faults([told("syncer"), told("consumer")]) == {}
    assert faults([told("syncer"), told("consumer"), told("consumer", full)]) == {
        "consumer": "waits since 08:00 UTC: the disk is full"
    }
    assert faults([told("consumer"), b"no JSON", b"[]", b""]).keys() == {"syncer"}
    assert "mail is not stored" in faults([told("syncer")])["consumer"]
