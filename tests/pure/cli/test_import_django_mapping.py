"""What a row of an old database becomes, whatever its columns were called and whatever they hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.import_django.mapping import ALIASES, NotImportable, attachment_row, message_row

NOON = datetime(2024, 5, 6, 12, 0, tzinfo=UTC)
MINIMUM = {"id": 1, "uid": 5, "received_at": "2024-05-06 12:00:00"}


def made(**columns: Any) -> Any:
    return message_row({**MINIMUM, **columns}, mailbox_id=3, uidvalidity=7)


def test_a_uid_and_a_time_are_enough() -> None:
    row = made()
    assert (row.mailbox_id, row.uidvalidity, row.uid) == (3, 7, 5)
    assert row.received_at == row.stored_at == NOON
    assert (row.subject, row.to_emails, row.headers, row.sha256, row.size) == ("", (), (), "", 0)


def test_other_names_of_a_column_are_known() -> None:
    row = message_row(
        {"id": 1, "uid": 5, "uid_validity": 9, "internal_date": NOON, "sender": "a@example.org", "text": "hello"},
        mailbox_id=3,
        uidvalidity=7,
    )
    assert (row.uidvalidity, row.received_at, row.from_email, row.body_text) == (9, NOON, "a@example.org", "hello")


@pytest.mark.parametrize(
    "to",
    [
        '["anna@example.org", "bob@example.org"]',
        ["anna@example.org", "bob@example.org"],
        "Anna <anna@example.org>, bob@example.org",
    ],
)
def test_addresses_may_be_json_a_list_or_a_header(to: Any) -> None:
    assert made(to_emails=to).to_emails == ("anna@example.org", "bob@example.org")


@pytest.mark.parametrize("headers", ['[["Received", "a"], ["Received", "b"]]', '{"Received": ["a", "b"]}'])
def test_headers_may_be_pairs_or_an_object(headers: str) -> None:
    assert made(headers=headers).headers == (("Received", "a"), ("Received", "b"))


@pytest.mark.parametrize("uid", [None, 0, -1, "x", 2**32])
def test_a_message_without_a_uid_is_refused_in_words(uid: Any) -> None:
    with pytest.raises(NotImportable, match="UID"):
        made(uid=uid)


def test_a_message_without_any_uidvalidity_is_refused_in_words() -> None:
    with pytest.raises(NotImportable, match="UIDVALIDITY"):
        message_row(MINIMUM, mailbox_id=3, uidvalidity=None)


def test_what_no_database_takes_is_replaced() -> None:
    assert made(subject="a\0b\ud800").subject == "a\ufffdb?"


def test_an_attachment_without_a_part_gets_a_place_of_its_own() -> None:
    row = attachment_row({"file": "mail_attachments/2024/05/06/x.pdf"}, 2, size=10, sha256="0" * 64)
    assert (row.part_id, row.filename, row.size, row.inline) == ("imported-2", "x.pdf", 10, False)


anything = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.datetimes() | st.lists(st.text())
COLUMNS = sorted({*ALIASES, "uid", "message_id", "subject", "from_name", "reply_to", "flags", "headers", "sha256"})


@given(st.dictionaries(st.sampled_from(COLUMNS), anything))
def test_any_value_in_any_column_gives_a_row_or_a_refusal(columns: dict[str, Any]) -> None:
    try:
        row = message_row(columns, mailbox_id=3, uidvalidity=7)
    except NotImportable:
        return
    row.subject.encode()
    assert row.received_at.tzinfo is not None
    assert len(row.sha256) in (0, 64)
    assert all(isinstance(one, str) for one in (*row.to_emails, *row.flags, *row.references))
