"""A refusal → our error: what it stops, when to try again, and how long to leave the server alone. Pure.

Response codes (RFC 9051 §7.1, RFC 5530) say it where they are used; most providers say it in words alone, or in words
that mean something else than their code. So one ordered table holds both, and the first rule that fits decides. A
provider's new wording is a line here and a transcript in the tests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mailcore.errors import AuthenticationFailed, CommandFailed, ConnectionLost, ImapError, ProtocolError, Retry, Scope

_MAX_DELAY: Final = 24 * 3600.0
_MAX_TEXT: Final = 300
_MAX_GREETING: Final = 200
_GREETING_PAUSE: Final = 5.0
_LOGIN_PAUSE: Final = 30.0  # after a login that was put off without a word on how long

# Providers' wording, as no standard code carries a delay: "Suggested Backoff Time: 297931 milliseconds", "try again in
# 5 minutes", "retry after 30 seconds", "blocked for an hour".
_DELAY: Final = re.compile(
    r"\b(?:back-?off|again|retry|later|wait|back|(?:block|lock|bann|suspend|disabl|limit|restrict)\w* (?:out )?for)\b"
    r"[^0-9]{0,40}?\b(?:(\d{1,3}(?:,\d{3}){1,2}|\d{1,9})|an?|one)[ -]*"
    r"(?:(ms|msecs?|millis\w*|milliseconds?)|(s|secs?|seconds?)|(m|mins?|minutes?)|(h|hrs?|hours?)|d|days?)\b",
    re.IGNORECASE,
)
_UNITS: Final = (0.001, 1.0, 60.0, 3600.0)  # else days

# What a person can do about it; {check} names the settings.
_CHECK: Final = "Check {check}"
_BROWSER: Final = "Sign in once with a browser, then make an app password for {check}"
_APP_PASSWORD: Final = "Make an app password at the provider and set it: {check}"
_NOT_CONNECTED: Final = (
    "The sign-in itself is right. It passes by itself, unless IMAP is off for this mailbox, or who signed in may not "
    "open it: then see to that at the provider"
)
_ENABLE: Final = "Allow IMAP in the account's settings at the provider"


@dataclass(frozen=True, slots=True)
class Rule:
    """It fits a refusal that says `words`, or, without words, one that has this `code`.

    `scope` None is that of what was asked: the account for a login, a message for FETCH, else the mailbox. `pause` is
    how many seconds to wait at least where the server names none. `remedy`: only a person can mend it.
    """

    code: str
    words: str | None = None
    scope: Scope | None = None
    retry: Retry = Retry.LATER
    pause: float | None = None
    remedy: str = ""

    def fits(self, code: str, text: str) -> bool:
        return code == self.code if self.words is None else re.search(self.words, text, re.IGNORECASE) is not None


_ACCOUNT: Final = Scope.ACCOUNT
_NEVER: Final = Retry.NEVER

RULES: Final = (
    # Too much: bandwidth or commands in a day (Gmail), in a moment (Exchange, Yahoo, Gmail), connections at once.
    Rule("OVERQUOTA", r"bandwidth limit|exceeded command", _ACCOUNT, pause=900.0),
    Rule("THROTTLED", r"\bthrottl|rate[ -]?limit|rate exceeded|back-?off", _ACCOUNT, pause=60.0),
    Rule("LIMIT", r"(?:too many|maximum|exceed\w*|limit)\b.{0,40}\b(?:connections?|sessions?)\b", _ACCOUNT, pause=60.0),
    Rule("LIMIT", r"\b(?:connections?|sessions?)\b.{0,30}\b(?:limit|exceed\w*|too many)", _ACCOUNT, pause=60.0),
    Rule("THROTTLED", r"too many .{0,30}(?:log[io]ns?\b|authenticat|attempts|failures)", _ACCOUNT, pause=900.0),
    Rule(
        "THROTTLED",
        r"intrusion prevention|(?:address|\bip|host)\b.{0,30}\b(?:blocked|banned|blacklisted)",
        _ACCOUNT,
        pause=900.0,
    ),
    # Willing in a moment; not a word about the password, whatever was asked.
    Rule("UNAVAILABLE", r"authenticated but not connected", _ACCOUNT, pause=5.0, remedy=_NOT_CONNECTED),
    Rule("UNAVAILABLE", r"^server unavailable|server (?:is )?(?:too )?busy", _ACCOUNT, pause=30.0),
    Rule("UNAVAILABLE", r"temporar\w* (?:authentication|auth|system|server|login|internal)", _ACCOUNT, pause=30.0),
    # The token's time is over: a new connection brings a new one.
    Rule("EXPIRED", r"accesstokenexpired|session (?:is )?(?:expired|invalidated)", retry=Retry.NOW),
    Rule("", r"auto-?logout|inactivity|idle (?:for )?too long|idle time", retry=Retry.NOW),
    # Refused until a person does something at the provider.
    Rule("WEBALERT", r"web ?login required|log ?in via your web browser", _ACCOUNT, _NEVER, remedy=_BROWSER),
    Rule("AUTHENTICATIONFAILED", r"(?:application|app)[- ]specific password", _ACCOUNT, _NEVER, remedy=_APP_PASSWORD),
    Rule("AUTHENTICATIONFAILED", r"using authorized code|authorization code", _ACCOUNT, _NEVER, remedy=_APP_PASSWORD),
    Rule(
        "AUTHENTICATIONFAILED",
        r"credentials or imap is disabled|service is not open",
        _ACCOUNT,
        _NEVER,
        remedy=f"{_ENABLE}, and check {{check}}",
    ),
    Rule(
        "CLIENTREFUSED",
        r"unsafe login",
        _ACCOUNT,
        _NEVER,
        remedy=f"{_ENABLE}; the provider admits known programs only, so ask it to admit this one",
    ),
    Rule(
        "IMAPDISABLED",
        r"not enabled for imap|enable imap|imap (?:access )?(?:is |has been )?(?:disabled|not (?:enabled|allowed))"
        r"|not (?:have|allowed) imap access",
        _ACCOUNT,
        _NEVER,
        remedy=_ENABLE,
    ),
    Rule(
        "BASICBLOCKED",
        r"basic ?auth\w*\b.{0,40}(?:block|disabl|not supported)",
        _ACCOUNT,
        _NEVER,
        remedy="The provider takes no passwords for IMAP: use OAuth, or have passwords allowed there",
    ),
    # Of an access token (RFC 7628 §3.2.2).
    Rule(
        "INSUFFICIENTSCOPE",
        r"insufficient_scope",
        _ACCOUNT,
        _NEVER,
        remedy="The access token is not for IMAP: its scope is too small. Check {check}",
    ),
    Rule(
        "AUTHENTICATIONFAILED",
        r"(?:invalid|incorrect|wrong|bad) (?:credentials|user|username|password|login)\b",
        retry=_NEVER,
        remedy=_CHECK,
    ),
    # One message, or one mailbox.
    Rule("SERVERBUG", r"internal (?:server )?error|server error|system i/o error"),
    # The codes, where no words said more.
    Rule("OVERQUOTA", scope=_ACCOUNT, pause=900.0),
    Rule("LIMIT", scope=_ACCOUNT, pause=60.0),
    Rule("THROTTLED", scope=_ACCOUNT, pause=60.0),
    Rule("UNAVAILABLE", scope=_ACCOUNT, pause=30.0),
    Rule("CONTACTADMIN", scope=_ACCOUNT, pause=900.0),
    Rule("SERVERBUG"),
    Rule("CORRUPTION"),
    Rule("INUSE"),
    Rule("EXPUNGEISSUED"),
    Rule("NONEXISTENT"),
    # Words that may be said of whatever it is.
    Rule("THROTTLED", _DELAY.pattern, _ACCOUNT),
    Rule("UNAVAILABLE", r"again later|temporar|(?:currently|service) unavailable|overload", pause=30.0),
    # What speaks of the login, if there was no reason to wait.
    Rule("PRIVACYREQUIRED", retry=_NEVER, remedy="It wants the password over TLS alone: switch on TLS or STARTTLS"),
    Rule("AUTHENTICATIONFAILED", retry=_NEVER, remedy=_CHECK),
    Rule("AUTHORIZATIONFAILED", retry=_NEVER, remedy=_CHECK),
    Rule("EXPIRED", retry=_NEVER, remedy=_CHECK),
)
_BAD_CREDENTIALS: Final = Rule("", scope=_ACCOUNT, retry=_NEVER, remedy=_CHECK)  # RFC 9051 §6.2.3
_PLAIN: Final = Rule("")


def retry_after(text: str) -> float | None:
    """The delay in seconds that the server's text asks for, if it does (a day at most)."""
    found = _DELAY.search(text)
    if found is None:
        return None
    number, *units = found.groups()
    unit = next((unit for name, unit in zip(units, _UNITS, strict=True) if name), _MAX_DELAY)
    return min(int((number or "1").replace(",", "")) * unit, _MAX_DELAY) or None


def meaning(code: str, text: str, plain: Rule = _PLAIN) -> Rule:
    """The first rule that fits; `plain` where none does."""
    return next((rule for rule in RULES if rule.fits(code, text)), plain)


def refused(where: str, what: str, code: str, text: str, error: type[CommandFailed] = CommandFailed) -> CommandFailed:
    """A tagged NO or BAD to a command after the login; `where` names the server, `what` the command (no arguments)."""
    rule = meaning(code, text)
    # One command's refusal is no reason to give up; and at once is for a new connection alone.
    retry = rule.retry if rule.scope is Scope.ACCOUNT else Retry.LATER
    asked = Scope.MESSAGE if what == "UID FETCH" else Scope.MAILBOX
    advice = f". {rule.remedy.format(check='the password')}" if retry is Retry.NEVER else ""
    return error(
        f"{where}: {what} refused: {said(code, text)}{advice}",
        code=rule.code or code,
        scope=rule.scope or asked,
        retry=retry,
        retry_after=retry_after(text) or rule.pause,
    )


def another_token_may_help(error: CommandFailed) -> bool:
    """A login by access token was refused; perhaps because of the token's age, and of nothing else that is known."""
    return error.code in ("", "AUTHENTICATIONFAILED", "EXPIRED")


def login_refused(
    where: str, user: str, code: str, text: str, *, check: str = "IMAP_USER and IMAP_PASSWORD", told: str = ""
) -> CommandFailed:
    """A tagged NO or BAD to LOGIN or AUTHENTICATE: a plain one means bad credentials, so the settings that `check`
    names are wrong. `told` is what the server said besides, of an access token (RFC 7628 §3.2.2)."""
    text = f"{text.rstrip('.')} ({told})" if told else text
    rule = meaning(code, text, _BAD_CREDENTIALS)
    if rule.retry is not Retry.NEVER:
        advice = f". {rule.remedy.format(check=check)}" if rule.remedy else ""
        return CommandFailed(
            f"{where}: login of {user!r} put off: {said(code, text.rstrip('.') if advice else text)}{advice}",
            code=rule.code or code,
            scope=Scope.ACCOUNT,
            retry=Retry.LATER,
            retry_after=retry_after(text) or rule.pause or _LOGIN_PAUSE,
        )
    return AuthenticationFailed(
        f"{where}: login of {user!r} refused: {said(code, text.rstrip('.'))}. {rule.remedy.format(check=check)}",
        code=rule.code or code,
    )


def said_bye(where: str, code: str, text: str) -> ConnectionLost:
    """BYE at any moment after the greeting (RFC 9051 §7.1.5)."""
    rule = meaning(code, text)
    return ConnectionLost(
        f"{where}: the server said BYE: {said(code, text)}",
        code=rule.code or code,
        scope=rule.scope or Scope.MAILBOX,
        retry=Retry.LATER if rule.retry is Retry.NEVER else rule.retry,
        retry_after=retry_after(text) or rule.pause,
    )


def greeting_refused(where: str, line: str, *, quoted: bool = True) -> ImapError:
    """A first line that is neither OK nor PREAUTH (RFC 9051 §7.1): a refusal, in whatever form (IceWarp says
    ` NO LOGOUT Intrusion prevention active`), or no IMAP at all. That is not `quoted` to
    somebody who should not learn what else runs there."""
    refusal = re.match(r"\W*(BYE|NO|BAD)\b(?: +\[([^\] ]+)[^\]]*\])? *", line, re.IGNORECASE)
    if refusal is None:
        shown = f" but with {said('', line, _MAX_GREETING)!r}" if quoted else ""
        return ProtocolError(
            f"{where}: the server did not begin with an IMAP greeting{shown}; is this the right port?",
            scope=Scope.ACCOUNT,
            retry_after=_GREETING_PAUSE,
        )
    code, text = (refusal[2] or "").upper(), line[refusal.end() :]
    rule = meaning(code, text)
    return ConnectionLost(
        f"{where}: the server said {refusal[1].upper()}: {said(code, text, _MAX_GREETING)}",
        code=rule.code or code,
        scope=Scope.ACCOUNT,
        retry_after=retry_after(text) or rule.pause or _GREETING_PAUSE,
    )


def said(code: str, text: str, limit: int = _MAX_TEXT) -> str:
    """The server's words in one printable line."""
    shown = "".join(char if char.isprintable() else "?" for char in text[:limit])
    return f"[{code}] {shown}" if code else shown or "no reason given"
