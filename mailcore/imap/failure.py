"""A refusal → our error with its two axes (response codes: RFC 9051 §7.1, RFC 5530). Pure."""

from __future__ import annotations

import re
from typing import Final

from mailcore.errors import AuthenticationFailed, CommandFailed, ConnectionLost, Retry, Scope

# The server is willing, only not now: the account is fine, so no AuthenticationFailed whatever was asked.
TRANSIENT: Final = frozenset(
    ("UNAVAILABLE", "INUSE", "LIMIT", "THROTTLED", "OVERQUOTA", "SERVERBUG", "CONTACTADMIN", "CORRUPTION")
)
# These speak of the account or of the server as a whole, not of the mailbox that was asked for.
_ACCOUNT_WIDE: Final = frozenset(("UNAVAILABLE", "LIMIT", "THROTTLED", "CONTACTADMIN"))

# Providers' wording, as no standard code carries a delay: "Suggested Backoff Time: 297931 milliseconds", "try again in
# 5 minutes", "retry after 30 seconds".
_DELAY: Final = re.compile(
    r"(?:backoff time:?|again (?:in|after)|retry (?:in|after)|wait) *(\d{1,9}) *(ms|milli|s|min|h)", re.IGNORECASE
)
# Gmail says "NO [ALERT] Too many simultaneous connections." where RFC 5530 has LIMIT.
_CROWDED: Final = re.compile(r"(?:too many|maximum)\b.{0,40}\bconnections?\b", re.IGNORECASE)
_UNIT: Final = {"ms": 0.001, "milli": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_MAX_DELAY: Final = 24 * 3600.0
_MAX_TEXT: Final = 300


def retry_after(text: str) -> float | None:
    """The delay in seconds that the server's text asks for, if it does (a day at most)."""
    found = _DELAY.search(text)
    return min(int(found[1]) * _UNIT[found[2].lower()], _MAX_DELAY) if found else None


def refused(where: str, what: str, code: str, text: str) -> CommandFailed:
    """A tagged NO or BAD to a command on a mailbox; `where` names the server, `what` the command (no arguments)."""
    scope = Scope.ACCOUNT if code in _ACCOUNT_WIDE else Scope.MAILBOX
    return CommandFailed(
        f"{where}: {what} refused: {_said(code, text)}",
        code=code,
        scope=scope,
        retry=Retry.LATER,
        retry_after=retry_after(text),
    )


def login_refused(
    where: str, user: str, code: str, text: str, *, check: str = "IMAP_USER and IMAP_PASSWORD"
) -> CommandFailed:
    """A tagged NO or BAD to LOGIN or AUTHENTICATE: a plain NO means bad credentials (RFC 9051 §6.2.3), so the settings
    that `check` names are wrong."""
    delay = retry_after(text)
    if _CROWDED.search(text):
        code = "LIMIT"
    if code in TRANSIENT or delay is not None:
        return CommandFailed(
            f"{where}: login of {user!r} put off: {_said(code, text)}",
            code=code,
            scope=Scope.ACCOUNT,
            retry=Retry.LATER,
            retry_after=delay,
        )
    return AuthenticationFailed(
        f"{where}: login of {user!r} refused: {_said(code, text.rstrip('.'))}. Check {check}",
        code=code,
    )


def said_bye(where: str, code: str, text: str) -> ConnectionLost:
    """BYE, as a greeting or later (RFC 9051 §7.1.5)."""
    return ConnectionLost(f"{where}: the server said BYE: {_said(code, text)}", retry_after=retry_after(text))


def _said(code: str, text: str) -> str:
    shown = "".join(char if char.isprintable() else "?" for char in text[:_MAX_TEXT])
    return f"[{code}] {shown}" if code else shown or "no reason given"
