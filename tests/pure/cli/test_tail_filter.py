"""`mozzart tail`: which events are shown."""

from __future__ import annotations

import pytest

from cli.tail import Filter
from mailcore.bus.layout.subjects import filters_by_stream


@pytest.mark.parametrize(
    ("wanted", "subject"),
    [
        (Filter(), "mail.*.*.*"),
        (Filter(account="work"), "mail.work.*.*"),
        (Filter(mailbox="inbox"), "mail.*.INBOX.*"),
        (Filter(account="a.b", mailbox="Entwürfe/2", types=("new",)), "mail.a%2Eb.Entw%C3%BCrfe/2.new"),
        (Filter(types=("new", "stored")), "mail.*.*.*"),
        (Filter(subject="dead.>"), "dead.>"),
    ],
)
def test_it_becomes_a_nats_subject_that_some_stream_has(wanted: Filter, subject: str) -> None:
    assert wanted.subjects == subject
    assert filters_by_stream(subject)


def test_of_several_types_the_others_are_left_out() -> None:
    wanted = Filter(types=("new", "stored"))

    assert "mail.a.b.new" in wanted
    assert "mail.a.b.stored" in wanted
    assert "mail.a.b.synced" not in wanted
    assert "dead.a.b" in Filter(subject=">")
