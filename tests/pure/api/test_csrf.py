"""CSRF tokens and the Origin check."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.guard import csrf

KEY = b"k" * 32
nonces = st.binary(min_size=csrf.NONCE_BYTES, max_size=csrf.NONCE_BYTES)
ids = st.text(max_size=30)


@given(ids, nonces)
def test_a_token_is_good_for_the_session_it_was_made_for(session_id: str, nonce: bytes) -> None:
    token = csrf.make(KEY, session_id, nonce)

    assert csrf.belongs(KEY, session_id, token)
    assert csrf.fault(KEY, session_id, token, token) == ""
    assert token.isascii()
    assert len(token) == 64, "as long as Django's"


@given(ids, ids, nonces)
def test_it_is_worth_nothing_in_another_session_or_with_another_key(one: str, other: str, nonce: bytes) -> None:
    token = csrf.make(KEY, one, nonce)

    assert csrf.belongs(KEY, other, token) is (one == other)
    assert not csrf.belongs(b"another", one, token)


@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_a_stranger_sends_is_refused_in_words(cookie: str, repeated: str) -> None:
    assert csrf.fault(KEY, "s", cookie, repeated)
    assert csrf.fault(KEY, "s", cookie, cookie)


@given(nonces, nonces)
def test_cookie_and_header_must_be_the_same(one: bytes, other: bytes) -> None:
    cookie, header = csrf.make(KEY, "s", one), csrf.make(KEY, "s", other)

    assert bool(csrf.fault(KEY, "s", cookie, header)) is (one != other)
    assert csrf.HEADER in csrf.fault(KEY, "s", cookie, "")
    assert csrf.COOKIE in csrf.fault(KEY, "s", "", cookie)


@pytest.mark.parametrize(
    ("host", "origin", "site"),
    [
        ("mail.example", None, None),
        ("mail.example", None, "same-origin"),
        ("mail.example", None, "none"),
        ("mail.example:8000", "http://mail.example:8000", "same-origin"),
        ("Mail.Example", "https://mail.example", None),
        ("mail.example", "http://mail.example:80", None),
        ("mail.example:443", "https://mail.example", None),
        ("[::1]:8000", "http://[::1]:8000", None),
    ],
)
def test_our_own_pages_and_programs_without_a_page_are_no_strangers(
    host: str, origin: str | None, site: str | None
) -> None:
    assert not csrf.is_foreign(host, secure=False, origin=origin, fetch_site=site)


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("null", None),
        ("", None),
        ("http://evil.example", None),
        ("http://mail.example.evil.example", None),
        ("http://mail.example:81", None),
        ("http://user@mail.example", None),
        ("ftp://mail.example", None),
        ("http://[", None),
        ("mail.example", None),
        ("http://mail.example", "cross-site"),
        ("http://mail.example", "same-site"),
        (None, "cross-site"),
    ],
)
def test_a_page_of_another_origin_is_told_by_what_the_browser_says(origin: str | None, site: str | None) -> None:
    assert csrf.is_foreign("mail.example", secure=False, origin=origin, fetch_site=site)


def test_behind_https_a_page_without_tls_is_another_origin() -> None:
    assert csrf.is_foreign("mail.example", secure=True, origin="http://mail.example", fetch_site=None)
    assert not csrf.is_foreign("mail.example", secure=True, origin="https://mail.example", fetch_site=None)


@given(st.text(), st.text())
def test_any_origin_gets_an_answer(host: str, origin: str) -> None:
    csrf.is_foreign(host, secure=False, origin=origin, fetch_site=origin)
