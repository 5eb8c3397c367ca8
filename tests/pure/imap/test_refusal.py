"""A refusal becomes an error with the right axes and the right pause."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.errors import AuthenticationFailed, CommandFailed, ConnectionLost, ImapError, ProtocolError, Retry, Scope
from mailcore.imap.parse import parse
from mailcore.imap.refusal import RULES, greeting_refused, login_refused, refused, retry_after, said_bye
from mailcore.imap.response import Condition, Tagged
from tests.pure.imap.transcripts import TRANSCRIPTS, Transcript


def error_of(asked: str, line: str) -> ImapError:
    """What the connection makes of `line`, with the parser in between."""
    if asked == "GREETING":
        return greeting_refused("mail.example:993", line)
    if asked == "BYE":
        bye = parse([b"* " + line.encode()])
        assert isinstance(bye, Condition)
        return said_bye("mail.example:993", bye.code, bye.text)
    tagged = parse([b"A1 " + line.encode()])
    assert isinstance(tagged, Tagged)
    if asked == "LOGIN":
        return login_refused("mail.example:993", "anna", tagged.code, tagged.text)
    return refused("mail.example:993", asked, tagged.code, tagged.text)


@pytest.mark.parametrize("said", TRANSCRIPTS, ids=lambda said: f"{said.vendor} {said.asked} {said.line[:40]}")
def test_what_a_provider_says_has_the_scope_the_retry_and_the_pause_that_it_means(said: Transcript) -> None:
    error = error_of(said.asked, said.line)
    assert (error.scope, error.retry, error.code) == (said.scope, said.retry, said.code)
    assert error.retry_after == (said.pause if said.pause is None else pytest.approx(said.pause))
    words = (
        said.line.split("] ")[-1]
        .removeprefix("* ")
        .strip()
        .removeprefix("NO ")
        .removeprefix("BAD ")
        .removeprefix("BYE ")
    )
    assert words.rstrip(".") in str(error)
    assert said.advice in str(error)
    assert isinstance(error, AuthenticationFailed) == (said.asked == "LOGIN" and said.retry is Retry.NEVER)
    if said.retry is not Retry.NEVER:
        assert "IMAP_PASSWORD" not in str(error)


@pytest.mark.parametrize("code", ["", "AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED"])
def test_a_refused_login_is_bad_credentials(code: str) -> None:
    error = login_refused("mail.example:993", "anna", code, "No such user or password.", check="`user` and `password`")
    assert isinstance(error, AuthenticationFailed)
    assert (error.scope, error.retry, error.code) == (Scope.ACCOUNT, Retry.NEVER, code)
    assert str(error).endswith("No such user or password. Check `user` and `password`")


@pytest.mark.parametrize(
    "code",
    ["UNAVAILABLE", "INUSE", "LIMIT", "THROTTLED", "OVERQUOTA", "SERVERBUG", "CONTACTADMIN", "CORRUPTION"],
)
def test_a_login_put_off_is_no_bad_password(code: str) -> None:
    error = login_refused("mail.example:993", "anna", code, "not now")
    assert not isinstance(error, AuthenticationFailed)
    assert (error.scope, error.retry, error.code) == (Scope.ACCOUNT, Retry.LATER, code)
    assert (error.retry_after or 0) >= 30


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Suggested Backoff Time: 1500 milliseconds", 1.5),
        ("Suggested Backoff Time: 299,910 milliseconds", 299.91),
        ("Retry in 500ms", 0.5),
        ("Back off 30s", 30),
        ("Backoff 30s", 30),
        ("Too many connections, try again in 5 minutes", 300),
        ("try again after 10 mins.", 600),
        ("try again in one minute", 60),
        ("retry after 30 seconds", 30),
        ("Retry-After: 10 sec", 10),
        ("Please wait 90 secs", 90),
        ("Please try again in 2 hours.", 7200),
        ("come back in 3 hrs", 10800),
        ("blocked for an hour", 3600),
        ("account locked out for 15 minutes", 900),
        ("try again in 2 days", 86400),
        ("wait 999999999 h", 86400),
        ("try again in 0 seconds", None),
        ("try again later", None),
        ("try again in a few minutes", None),
        ("try again with 2 messages", None),
        ("Mailbox has 5 minutes of audio", None),
        ("", None),
    ],
)
def test_a_delay_in_words_is_understood(text: str, seconds: float | None) -> None:
    assert retry_after(text) == (seconds if seconds is None else pytest.approx(seconds))


def test_what_a_server_asks_for_outranks_the_tables_pause_in_both_directions() -> None:
    for text, pause in (("throttled, try again in 2 seconds", 2), ("throttled, try again in 2 hours", 7200)):
        assert refused("h", "UID FETCH", "", text).retry_after == pause


def test_every_rule_by_words_has_a_transcript() -> None:
    reached = [next((rule for rule in RULES if rule.fits("", said.line)), None) for said in TRANSCRIPTS]
    assert [rule for rule in RULES if rule.words is not None and rule not in reached] == []


def test_the_words_of_a_greeting_that_is_no_imap_are_shown_and_bounded() -> None:
    error = greeting_refused("h:143", "220 smtp.example\x1b[31m " + "x" * 5000)
    assert isinstance(error, ProtocolError)
    assert "220 smtp.example?[31m" in str(error)
    assert "is this the right port?" in str(error)
    assert len(str(error)) < 400


@given(st.text(), st.text())
def test_whatever_a_server_says_becomes_one_printable_line(code: str, text: str) -> None:
    errors = (
        refused("h", "X", "", text),
        login_refused("h", "u", "", text),
        said_bye("h", "", text),
        greeting_refused("h", text),
    )
    for error in errors:
        assert str(error).isprintable()
        assert len(str(error)) < 600
        assert isinstance(error, CommandFailed | ConnectionLost | ProtocolError)
        assert error.retry_after is None or 0 < error.retry_after <= 86400


@pytest.mark.parametrize("word", ["too many ", "again ", "connection ", "a", " ", "1", "limit for "])
def test_a_hostile_text_costs_linear_time(word: str) -> None:
    def cost(n: int) -> float:
        text = word * n
        start = time.process_time()
        refused("h", "X", "", text)
        return time.process_time() - start

    small, large = min(cost(2_000) for _ in range(3)), min(cost(20_000) for _ in range(3))
    assert large < 30 * small + 0.05
