"""A refusal becomes an error with the right axes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.errors import AuthenticationFailed, CommandFailed, Retry, Scope
from mailcore.imap.failure import TRANSIENT, login_refused, refused, retry_after, said_bye


@pytest.mark.parametrize("code", ["", "AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED", "PRIVACYREQUIRED"])
def test_a_refused_login_is_bad_credentials(code: str) -> None:
    error = login_refused("mail.example:993", "anna", code, "No such user or password.")
    assert isinstance(error, AuthenticationFailed)
    assert error.scope is Scope.ACCOUNT
    assert error.code == code
    assert "IMAP_PASSWORD" in str(error)


@pytest.mark.parametrize("code", sorted(TRANSIENT))
def test_a_login_put_off_is_no_bad_password(code: str) -> None:
    error = login_refused("mail.example:993", "anna", code, "Try later")
    assert not isinstance(error, AuthenticationFailed)
    assert (error.scope, error.retry, error.code) == (Scope.ACCOUNT, Retry.LATER, code)


def test_a_throttled_login_without_a_code_is_no_bad_password_either() -> None:
    error = login_refused("h", "anna", "", "Request is throttled. Suggested Backoff Time: 297931 milliseconds")
    assert not isinstance(error, AuthenticationFailed)
    assert error.retry_after == pytest.approx(297.931)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("ALERT", "Too many simultaneous connections. (Failure)"),
        ("LIMIT", "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=5)"),
        ("", "Too many open connections for this user"),
    ],
)
def test_too_many_connections_is_no_bad_password_whatever_the_code(code: str, text: str) -> None:
    error = login_refused("h", "anna", code, text)
    assert not isinstance(error, AuthenticationFailed)
    assert (error.retry, error.code) == (Retry.LATER, "LIMIT")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Suggested Backoff Time: 1500 milliseconds", 1.5),
        ("Too many connections, try again in 5 minutes", 300),
        ("retry after 30 seconds", 30),
        ("Please try again in 2 hours.", 7200),
        ("wait 999999999 h", 86400),
        ("Mailbox has 5 minutes of audio", None),
        ("", None),
    ],
)
def test_a_delay_in_words_is_understood(text: str, seconds: float | None) -> None:
    assert retry_after(text) == seconds


@pytest.mark.parametrize(
    ("code", "scope"),
    [
        ("", Scope.MAILBOX),
        ("NONEXISTENT", Scope.MAILBOX),
        ("INUSE", Scope.MAILBOX),
        ("THROTTLED", Scope.ACCOUNT),
        ("UNAVAILABLE", Scope.ACCOUNT),
        ("LIMIT", Scope.ACCOUNT),
    ],
)
def test_a_refused_command_stops_what_it_speaks_of(code: str, scope: Scope) -> None:
    error = refused("h:993", "SELECT", code, "no")
    assert (error.scope, error.retry, error.code) == (scope, Retry.LATER, code)


@given(st.text(), st.text())
def test_whatever_a_server_says_becomes_one_printable_line(code: str, text: str) -> None:
    for error in (refused("h", "X", "", text), login_refused("h", "u", "", text), said_bye("h", "", text)):
        assert str(error).isprintable()
        assert len(str(error)) < 500
        assert isinstance(error, CommandFailed) or "BYE" in str(error)
