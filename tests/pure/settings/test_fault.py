"""A bug of ours is told once, with its traceback and without what it held in its hands."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from mailcore import fault
from mailcore.errors import Fault, MozzartError, Retry, Scope, StoreError


def met(words: str = "", secret: str = "geheim") -> Exception:
    try:
        raise TypeError(words or f"no {len(secret)}")
    except TypeError as error:
        return error


def test_what_speaks_of_the_world_stays_what_it_is() -> None:
    with capture_logs() as lines:
        for error in (StoreError("down"), MozzartError("no"), OSError(28, "full"), TimeoutError()):
            assert fault.told(error, "storing") is error
    assert lines == []


def test_a_bug_becomes_a_fault_that_costs_one_message() -> None:
    error = met()
    found = fault.told(error, "storing 3 messages")
    assert isinstance(found, Fault)
    assert (found.scope, found.retry, found.__cause__) == (Scope.MESSAGE, Retry.NEVER, error)
    assert str(found).startswith("storing 3 messages: a fault of ours (TypeError: no 6) in settings/test_fault.py:")
    assert str(found).endswith(", see the log")
    assert fault.told(found, "again") is found


def test_the_log_has_the_line_at_fault_and_no_local() -> None:
    with capture_logs() as lines:
        fault.told(met(), "storing")
    (line,) = lines
    assert (line["log_level"], line["event"], line["doing"]) == ("error", "fault", "storing")
    assert 'raise TypeError(words or f"no {len(secret)}")' in line["exception"]
    assert "geheim" not in str(line)


def test_what_an_error_quotes_is_cut() -> None:
    with capture_logs() as lines:
        found = fault.told(met("x" * 10_000), "storing")
    assert len(str(found)) < 500
    assert max(map(len, lines[0]["exception"].splitlines())) <= 301


def test_the_same_bug_is_told_once_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(fault.time, "monotonic", lambda: now)
    with capture_logs() as lines:
        for now in (0.0, 1.0, 3599.0, 3600.0, 3601.0):
            assert isinstance(fault.told(met(str(now)), "storing"), Fault)
    assert [line["error"] for line in lines] == ["TypeError: 0.0", "TypeError: 3600.0"]


def test_another_place_is_another_bug_and_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as lines:
        fault.told(met(), "storing")
        fault.told(KeyError("never raised"), "storing")
    assert len(lines) == 2
    assert lines[1]["where"] == "an unknown place"
    for number in range(1000):
        fault._is_news(("TypeError", str(number)), 0.0)
    assert len(fault._told) == fault._MOST
