from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.errors import EventError
from mailcore.events.identity import MailboxKey
from mailcore.events.subject import decode_token, encode_token, parse_subject, subject
from tests.pure.events.strategies import names_with_surrogates

_NATS_TOKEN = re.compile(r"[!-~]+")


@given(names_with_surrogates)
def test_any_name_is_one_nats_token_and_comes_back(name: str) -> None:
    token = encode_token(name)
    assert _NATS_TOKEN.fullmatch(token)
    assert not set(token) & set(".*>")
    assert decode_token(token) == name


@given(names_with_surrogates, names_with_surrogates)
def test_subjects_come_back(account: str, mailbox: str) -> None:
    key = MailboxKey(account, mailbox)
    assert parse_subject(subject(key, "new")) == (key, "new")


@given(st.text())
def test_what_is_no_subject_of_ours_is_refused_and_nothing_else_raised(text: str) -> None:
    try:
        key, kind = parse_subject(text)
    except EventError:
        return
    assert subject(key, kind) == text


@pytest.mark.parametrize(
    "text", ["", "mail.a.b", "mail.a.b.", "mail.a.b.c.d", "post.a.b.new", "mail.%41.b.new", "mail..b.new"]
)
def test_near_misses_are_refused(text: str) -> None:
    with pytest.raises(EventError, match="not a subject"):
        parse_subject(text)


def test_common_names_stay_readable() -> None:
    assert encode_token("[Gmail]/All Mail") == "[Gmail]/All%20Mail"
    assert encode_token("Archive.2024") == "Archive%2E2024"
    assert encode_token("") == "%"
