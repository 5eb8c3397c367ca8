"""When the next regular verification is due, and what the metrics tell of the last ones."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cli.verify.verifier import FIRST_AFTER, due_in
from mailcore import metrics
from mailcore.store import VerifyReport

NOW = datetime(2026, 11, 28, 2, 0, tzinfo=UTC)


def report(ago: float, status: str = "equal", **columns: object) -> VerifyReport:
    start = NOW - timedelta(seconds=ago)
    facts = {"id": 1, "by": "verifier", "deep": False, "ended_at": start + timedelta(seconds=2), "totals": {}}
    return VerifyReport(started_at=start, status=status, **(facts | columns))  # type: ignore[arg-type]


@given(st.floats(0.01, 1e6), st.none() | st.floats(-1e6, 1e6), st.sampled_from(("equal", "failed", "interrupted")))
def test_the_next_run_is_due_within_an_interval_and_never_at_once(
    interval: float, ago: float | None, status: str
) -> None:
    wait = due_in(interval, None if ago is None else report(ago, status), NOW)
    assert 0 < wait <= interval


def test_a_run_that_was_cut_off_is_made_again_soon_and_a_restart_repeats_none() -> None:
    day = 86400.0
    assert due_in(day, None, NOW) == due_in(day, report(60, "interrupted"), NOW) == FIRST_AFTER
    assert due_in(day, report(3600), NOW) == day - 3600


def test_metrics_tell_of_each_category_what_the_last_run_found_that_looked_for_it() -> None:
    newest = [
        report(10, "failed"),
        report(20, "differs", mailbox="INBOX", totals={"missing": 9}),
        report(30, "incomplete", totals={"missing": 0}),
        report(40, "differs", totals={"missing": 2, "gone": 1}),
        report(50, "differs", totals={"missing": 3, "file_missing": 4}),
    ]
    text = metrics.verification(newest, 60).decode()
    assert 'mozzart_verify_findings{category="missing"} 2.0' in text
    assert 'mozzart_verify_findings{category="gone"} 1.0' in text
    assert 'mozzart_verify_findings{category="file_missing"} 4.0' in text
    (ended,) = re.findall(r"^mozzart_verify_timestamp_seconds (.+)$", text, re.MULTILINE)
    assert float(ended) == (NOW - timedelta(seconds=38)).timestamp()
    assert "mozzart_verify_duration_seconds 2.0" in text
    assert "mozzart_verify_timestamp_seconds 0.0" in metrics.verification([], 0).decode()
