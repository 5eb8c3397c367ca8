"""What a provider's refusal means: words, kind, when to try again; as providers word it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.errors import AuthenticationFailed, ImapError, Retry, Scope
from mailcore.oauth.answer import RULES, Answer, Whose, good_until, granted, refused, worth_replacing

WHOSE = Whose("Google", "anna@example.com", "`mozzart accounts authorize a`", "OAUTH_CLIENT_ID and OAUTH_SCOPE")
NEVER, LATER = Retry.NEVER, Retry.LATER
AGAIN, CHECK = "mozzart accounts authorize a", "OAUTH_CLIENT_ID and OAUTH_SCOPE"

TRANSCRIPTS = (
    ("invalid_grant", "Token has been expired or revoked.", "REVOKED", NEVER, None, AGAIN),
    ("invalid_grant", "Bad Request", "REVOKED", NEVER, None, AGAIN),
    ("invalid_grant", "AADSTS50173: The grant has expired due to it being revoked.", "REVOKED", NEVER, None, AGAIN),
    ("invalid_grant", "Session has been revoked", "REVOKED", NEVER, None, AGAIN),
    ("invalid_grant", "AADSTS700082: The refresh token has expired due to inactivity.", "EXPIRED", NEVER, None, AGAIN),
    ("invalid_grant", "AADSTS70043: The refresh token has expired or is invalid", "EXPIRED", NEVER, None, AGAIN),
    ("invalid_grant", "AADSTS65001: The user or administrator has not consented to use the application",
     "CONSENT", NEVER, None, "consent was withdrawn"),
    ("access_denied", "", "CONSENT", NEVER, None, "consent was withdrawn"),
    ("invalid_scope", "AADSTS70011: The provided value for the input parameter 'scope' is not valid.",
     "SCOPE", NEVER, None, CHECK),
    ("invalid_request", "AADSTS1002012: The value for scope is not valid.", "SCOPE", NEVER, None, "Wrong scope"),
    ("invalid_request", "AADSTS90002: Tenant 'nobody.example' not found.", "TENANT", NEVER, None, "Wrong tenant"),
    ("unauthorized_client", "AADSTS700016: Application with identifier 'x' was not found in the directory 'y'.",
     "TENANT", NEVER, None, CHECK),
    ("invalid_grant", "AADSTS50020: User account from identity provider does not exist in tenant",
     "TENANT", NEVER, None, CHECK),
    ("invalid_client", "AADSTS7000222: The client secret keys are expired.", "SECRET", NEVER, None, "make a new one"),
    ("invalid_client", "AADSTS7000215: Invalid client secret provided.", "CLIENT", NEVER, None, CHECK),
    ("invalid_client", "The OAuth client was not found.", "CLIENT", NEVER, None, CHECK),
    ("unauthorized_client", "Client is unauthorized to retrieve access tokens using this method, or client not "
     "authorized for any of the scopes requested.", "DELEGATION", NEVER, None, "domain-wide delegation"),
    ("unsupported_grant_type", "", "CLIENT", NEVER, None, CHECK),
    ("invalid_grant", "Invalid email or User ID", "DISABLED", NEVER, None, "does not exist, or was disabled"),
    ("invalid_grant", "AADSTS50057: The user account is disabled.", "DISABLED", NEVER, None, "disabled"),
    ("invalid_grant", "Account has been deleted", "DISABLED", NEVER, None, "disabled"),
    ("interaction_required", "AADSTS50076: you must use multi-factor", "INTERACTION", NEVER, None, AGAIN),
    ("invalid_grant", "AADSTS53003: Access has been blocked by Conditional Access policies.",
     "INTERACTION", NEVER, None, AGAIN),
    ("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
     "Check your iat and exp values in the JWT claim.", "CLOCK", LATER, 60, "9 minutes ahead"),
    ("invalid_client", "AADSTS700024: It is not within its valid time range.", "CLOCK", LATER, 60, "clock"),
    ("temporarily_unavailable", "", "UNAVAILABLE", LATER, 10, ""),
    ("rate_limit_exceeded", "", "THROTTLED", LATER, 60, ""),
)  # fmt: skip


@pytest.mark.parametrize(("error", "said", "code", "retry", "pause", "words"), TRANSCRIPTS)
def test_what_a_provider_says_has_words_and_a_pause_of_its_own(
    error: str, said: str, code: str, retry: Retry, pause: float | None, words: str
) -> None:
    found = refused(Answer(400, {"error": error, "error_description": said}, skew=540), WHOSE)
    assert (found.code, found.retry, found.retry_after, found.scope) == (code, retry, pause, Scope.ACCOUNT)
    assert isinstance(found, AuthenticationFailed) == (retry is NEVER)
    assert words in str(found)
    assert error in str(found)
    assert "anna@example.com" in str(found)


def test_every_rule_is_reached() -> None:
    texts = [f"{error}: {said}" if said else error for error, said, *_ in TRANSCRIPTS]
    reached = [next(rule for rule in RULES if rule.fits("", text)) for text in texts]
    assert [rule for rule in RULES if rule not in reached] == []


@pytest.mark.parametrize(
    ("status", "retry", "code"),
    [
        (500, LATER, "UNAVAILABLE"),
        (503, LATER, "UNAVAILABLE"),
        (429, LATER, "THROTTLED"),
        (404, NEVER, ""),
        (200, NEVER, ""),
    ],
)
def test_an_answer_without_words_goes_by_its_status(status: int, retry: Retry, code: str) -> None:
    found = refused(Answer(status, {}), WHOSE)
    assert (found.retry, found.code) == (retry, code)
    assert f"status {status}" in str(found)


def test_what_the_provider_asks_for_is_waited() -> None:
    assert refused(Answer(429, {}, retry_after=77), WHOSE).retry_after == 77


def test_a_trace_behind_the_words_is_left_out() -> None:
    said = "AADSTS65001: No consent.\r\nTrace ID: 1234\r\nTimestamp: x"
    assert "Trace ID" not in str(refused(Answer(400, {"error": "invalid_grant", "error_description": said}), WHOSE))


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(
    st.integers(100, 599),
    st.dictionaries(
        st.sampled_from(["access_token", "refresh_token", "expires_in", "error", "error_description"]), JSON
    ),
)
def test_any_answer_is_tokens_or_a_refusal_in_one_printable_line(status: int, body: dict[str, object]) -> None:
    try:
        found = granted(Answer(status, body), WHOSE)
    except ImapError as error:
        words = str(error)
    else:
        words = ""
        assert found.access_token == body["access_token"]
        assert 0 <= found.lifetime <= 30 * 86400
    assert words.isprintable()


@given(st.floats(0, 1e7))
def test_a_token_is_replaced_before_it_ends(lifetime: float) -> None:
    assert max(0.75 * lifetime, lifetime - 300) == pytest.approx(good_until(lifetime))


def test_a_refused_token_that_has_just_come_is_not_replaced() -> None:
    assert [worth_replacing(age) for age in (-1, 0, 4.9, 5, 3600)] == [True, False, False, True, True]
