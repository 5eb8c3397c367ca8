"""What a token endpoint answers: tokens, or a refusal in words, with what it stops and when to try again. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mailcore.errors import AuthenticationFailed, ImapError, Retry, Scope
from mailcore.imap.refusal import Rule, retry_after, said

DEFAULT_LIFETIME: Final = 3600.0  # seconds, of a token whose answer does not tell (RFC 6749 §5.1: it should)
_LONGEST: Final = 30 * 24 * 3600.0
_MARGIN: Final = 300.0  # seconds before its end in which a token is used no more
_YOUNG: Final = 5.0  # seconds: a token that is refused so soon is refused for another reason than its age
_SKEW: Final = 60.0  # seconds that a clock may be wrong without a word
_ENDPOINT_PAUSE: Final = 10.0


@dataclass(frozen=True)
class Answer:
    """`skew` is how many seconds our clock was ahead of the endpoint's Date; None: it told none."""

    status: int
    body: Mapping[str, Any] = field(repr=False)
    retry_after: float | None = None
    skew: float | None = None


@dataclass(frozen=True)
class Granted:
    """`refresh_token` is "" where the one that is known stays good. Times are seconds."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    lifetime: float


@dataclass(frozen=True)
class Whose:
    """Of whom an error speaks. `again` is what signs in again, `configured` the settings in question."""

    provider: str
    user: str
    again: str
    configured: str


_ACCOUNT: Final = Scope.ACCOUNT
_NEVER: Final = Retry.NEVER
_AGAIN: Final = "Sign in again: {again}"
_CONSENT: Final = (
    "Its consent was withdrawn, or was never given: {again}, and grant what is asked for; in a company an "
    "administrator may have to consent"
)
_SCOPE: Final = "Wrong scope: check {configured}, and that the application may ask for it"
_CLIENT: Final = "The provider does not know this application, or its secret is wrong: check {configured}"
_USER: Final = "The user does not exist, or was disabled: see to that at the provider, and check the account's user"
_DELEGATE: Final = (
    "The service account has no domain-wide delegation for this scope: an administrator grants it in the admin console "
    "(Security, API controls), to the client id of the service account"
)
_TENANT: Final = "Wrong tenant: the account or the application is not in it; check {configured}"

_CLOCK: Final = r"reasonable timeframe|\biat\b.{0,40}\bexp\b|valid time range"
_DELEGATION: Final = r"unauthorized to retrieve access tokens using this method|not authorized for any of the scopes"
_UNKNOWN_CLIENT: Final = r"invalid_client|deleted_client|oauth client was not found"
_NO_TENANT: Final = r"\btenant\b.{0,60}not (?:found|exist)|org_internal"
_NO_SCOPE: Final = r"invalid_scope|insufficient_scope|invalid_resource|invalid_target"
_NO_CONSENT: Final = r"consent_required|access_denied|not consented|admin_policy_enforced"
_NO_USER: Final = r"account has been (?:deleted|disabled)|user_disabled|invalid email or user id|user (?:is )?disabled"
_REVOKED: Final = r"(?:token|grant|session|sign-in) (?:has been |was |is )?revoked|password (?:was |has )?changed"


def _aadsts(*numbers: int) -> str:
    """Entra ID says it by number; the words behind it change."""
    return rf"AADSTS(?:{'|'.join(map(str, numbers))})\b"


def _rule(code: str, words: str, remedy: str, *numbers: int, pause: float | None = None) -> Rule:
    """`pause`: it passes by itself, or when somebody mends what is not the account's."""
    pattern = f"{words}|{_aadsts(*numbers)}" if numbers else words
    return Rule(code, pattern, _ACCOUNT, _NEVER if pause is None else Retry.LATER, pause, remedy)


RULES: Final = (
    # Nothing to do with who asks.
    _rule("CLOCK", _CLOCK, "Clock skew: set the clock of this machine{skew} (NTP)", 700024, 500133, 135011, pause=60.0),
    _rule("THROTTLED", r"rate_?limit|slow_down|quota|too many requests", "", 50196, 90055, pause=60.0),
    _rule("UNAVAILABLE", r"temporarily_unavailable|server_error", "", 90033, 90012, 90024, 90010, pause=10.0),
    # The application.
    _rule("DELEGATION", _DELEGATION, _DELEGATE),
    _rule("SECRET", _aadsts(7000222), "The client secret has expired: make a new one, and set {configured}"),
    _rule("CLIENT", _UNKNOWN_CLIENT, _CLIENT, 7000215, 7000216, 700025, 7000112, 70002),
    _rule("TENANT", _NO_TENANT, _TENANT, 90002, 90072, 50020, 50128, 50177, 50059, 500208, 700016, 7000116, 5000224),
    _rule("SCOPE", _NO_SCOPE, _SCOPE, 70011, 28002, 28003, 1002012, 500011, 650053, 65002),
    # Who signed in.
    _rule("CONSENT", _NO_CONSENT, _CONSENT, 65001, 65004, 65005, 90094, 90095, 90008),
    _rule("DISABLED", _NO_USER, _USER, 50057, 50034, 51004, 50053),
    _rule(
        "INTERACTION",
        r"interaction_required|login_required|\bmfa\b",
        "The provider wants the person again (a second factor, or a rule of the company): {again}",
        *(50074, 50076, 50078, 50079, 50097, 50158, 53000, 53001, 53002, 53003, 53004),
    ),
    _rule("REVOKED", r"expired or revoked", _AGAIN),
    _rule("REVOKED", _REVOKED, f"It was revoked, or the password was changed. {_AGAIN}", 50173, 50132, 50133, 700003),
    _rule(
        "EXPIRED",
        r"(?:token|grant|session) (?:has |is |was )?(?:been )?expired",
        f"The sign-in has expired. {_AGAIN}",
        *(700082, 700084, 70008, 70043, 50089, 700081),
    ),
    _rule("REVOKED", r"invalid_grant", f"The sign-in is good no more. {_AGAIN}", 70000),
    _rule("CLIENT", r"unauthorized_client|unsupported_grant_type|invalid_request", "Check {configured}"),
)
_UNKNOWN: Final = Rule("", scope=_ACCOUNT, retry=_NEVER, remedy="Check {configured}")
_DOWN: Final = Rule("UNAVAILABLE", scope=_ACCOUNT, pause=_ENDPOINT_PAUSE)
_TOO_MANY: Final = Rule("THROTTLED", scope=_ACCOUNT, pause=60.0)
_STATUS_DOWN: Final = 500
_STATUS_TOO_MANY: Final = 429


def granted(answer: Answer, whose: Whose) -> Granted:
    """Raises ImapError for an answer that is a refusal, or no answer of a token endpoint."""
    token, refresh = answer.body.get("access_token"), answer.body.get("refresh_token", "")
    if answer.status != 200 or not isinstance(token, str) or not token:
        raise refused(answer, whose)
    seconds = answer.body.get("expires_in", DEFAULT_LIFETIME)
    try:
        lifetime = min(max(0.0, float(seconds)), _LONGEST)
    except (TypeError, ValueError):
        lifetime = DEFAULT_LIFETIME
    return Granted(token, refresh if isinstance(refresh, str) else "", lifetime)


def refused(answer: Answer, whose: Whose) -> ImapError:
    """Nothing of a form that was sent is in it."""
    error, description = (_word(answer.body.get(name)) for name in ("error", "error_description"))
    text = f"{error}: {description}" if error and description else error or description
    rule = next((rule for rule in RULES if text and rule.fits("", text)), _UNKNOWN)
    if answer.status == _STATUS_TOO_MANY:
        rule = _TOO_MANY
    elif answer.status >= _STATUS_DOWN and rule in (_UNKNOWN, RULES[-1]):
        rule = _DOWN
    told = said("", text) if text else f"status {answer.status}"
    advice = rule.remedy.format(again=whose.again, configured=whose.configured, skew=_skew(answer.skew))
    where = f"{whose.provider}: no access token for {whose.user!r}: {told.rstrip('.')}"
    words = f"{where}. {advice}" if advice else where
    if rule.retry is _NEVER:
        return AuthenticationFailed(words, code=rule.code)
    return ImapError(
        words,
        code=rule.code,
        scope=Scope.ACCOUNT,
        retry=Retry.LATER,
        retry_after=answer.retry_after or retry_after(text) or rule.pause,
    )


def unreachable(why: str, whose: Whose) -> ImapError:
    """The token endpoint did not answer at all."""
    return ImapError(
        f"{whose.provider}: the token endpoint does not answer ({why}), so {whose.user!r} cannot log in",
        code="UNAVAILABLE",
        scope=Scope.ACCOUNT,
        retry=Retry.LATER,
        retry_after=_ENDPOINT_PAUSE,
    )


def not_signed_in(whose: Whose) -> ImapError:
    return AuthenticationFailed(
        f"{whose.provider}: nobody has signed in as {whose.user!r} yet. Do so: {whose.again}", code="SIGNIN"
    )


def good_until(lifetime: float) -> float:
    """For how many seconds a token is used: it must outlive the login."""
    return lifetime - min(_MARGIN, lifetime / 4)


def worth_replacing(age: float) -> bool:
    """Whether another token may help where the server refuses one of this age in seconds. (A clock that went back may
    make it negative.)"""
    return not 0 <= age < _YOUNG


def _skew(seconds: float | None) -> str:
    if seconds is None or abs(seconds) < _SKEW:
        return ""
    number, unit = (abs(seconds) / 60, "minutes") if abs(seconds) < 7200 else (abs(seconds) / 3600, "hours")
    return f", which is {number:.0f} {unit} {'ahead' if seconds > 0 else 'behind'}"


def _word(value: object) -> str:
    """AADSTS descriptions have a trace of several lines behind their first sentence."""
    text = value if isinstance(value, str) else ""
    return re.split(r"[\r\n]| Trace ID:", text, maxsplit=1)[0].strip()
