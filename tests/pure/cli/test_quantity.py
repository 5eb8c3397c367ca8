"""Sizes and times as a person reads them; the demo's mails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.demo.mail import KINDS, sample
from cli.quantity import ago, counted, size, span

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (10**12, "1.0 TB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@given(st.integers(0, 10**15))
def test_a_size_is_right_to_one_digit_after_the_point(count: int) -> None:
    amount, unit = size(count).split()
    power = ("B", "kB", "MB", "GB", "TB").index(unit)

    assert abs(float(amount) * 1000**power - count) <= 0.05 * 1000**power + 1e-6 * count
    assert float(amount) < 1000 or unit == "TB"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 s"), (0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (7199, "1 h"), (86400 * 3, "3 d")]
)
def test_spans_of_time(seconds: float, text: str) -> None:
    assert span(NOW, NOW + timedelta(seconds=seconds)) == text
    assert ago(NOW, NOW + timedelta(seconds=seconds)) == f"{text} ago"
    assert ago(None, NOW) == "–"


def test_counted_nouns() -> None:
    assert [counted(1, "message"), counted(2000, "message"), counted(2, "mailbox")] == [
        "1 message",
        "2,000 messages",
        "2 mailboxes",
    ]


@given(st.integers(1, 10_000))
def test_each_sample_mail_has_one_attachment_and_only_crlf(number: int) -> None:
    mail = sample(number, NOW)
    parsed = message_from_bytes(mail.raw, policy=policy.default)

    assert str(parsed["Subject"]) == mail.subject
    assert len(list(parsed.iter_attachments())) == 1
    assert b"\n" not in mail.raw.replace(b"\r\n", b"")
    assert sample(number, NOW) == mail
    assert sample(number + len(KINDS), NOW).raw != mail.raw
