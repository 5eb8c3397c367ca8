"""Every error of ours has two axes: what it stops (scope) and when to try again (retry).

The axes are decided where the error is understood (the IMAP client, the bus, the store) and acted on where the
scope is owned (the mailbox task, the account nursery, the process).
"""

from __future__ import annotations

from enum import Enum


class Scope(Enum):
    """The largest thing that the error stops."""

    MESSAGE = "message"
    MAILBOX = "mailbox"
    ACCOUNT = "account"
    PROCESS = "process"


class Retry(Enum):
    """When the same attempt may be made again."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"


class MozzartError(Exception):
    """The root. The message says what happened, where, and what to do; it never holds a secret.

    `retry_after` is a delay in seconds that the other side asked for, if it did.
    """

    scope = Scope.PROCESS
    retry = Retry.LATER

    def __init__(
        self,
        message: str,
        *,
        scope: Scope | None = None,
        retry: Retry | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        if scope is not None:
            self.scope = scope
        if retry is not None:
            self.retry = retry
        self.retry_after = retry_after


class SettingsError(MozzartError):
    """A setting is missing or wrong; only a person can mend it."""

    retry = Retry.NEVER


class ImapError(MozzartError):
    """Anything the IMAP side did to us; the subclasses say what.

    `code` is the response code that says what the server meant (RFC 9051 §7.1, RFC 5530), without brackets and in upper
    case: the one it gave, or the one that its words stand for; "" if there was none.
    """

    scope = Scope.MAILBOX

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        scope: Scope | None = None,
        retry: Retry | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, scope=scope, retry=retry, retry_after=retry_after)
        self.code = code


class ConnectionLost(ImapError):
    """TCP or TLS failed, the server said BYE, or a deadline passed: the connection is gone, never final."""


class ProtocolError(ImapError):
    """The server sent what no IMAP server may send, or more than our caps allow; the connection was dropped."""


class CommandFailed(ImapError):
    """A tagged NO or BAD, or an answer that lacks what it must have; the connection lives on."""


class AuthenticationFailed(CommandFailed):
    """The server refused the user name or password: stops the account, loudly and slowly."""

    scope = Scope.ACCOUNT
    retry = Retry.NEVER


class TlsFailed(ConnectionLost):
    """The certificate or the handshake was refused: stops the account until settings or server change."""

    scope = Scope.ACCOUNT
    retry = Retry.NEVER


class NotAdmitted(ConnectionLost):
    """The host is none that accounts of the database may be connected to: stops the account until that changes."""

    scope = Scope.ACCOUNT
    retry = Retry.NEVER


class BusError(MozzartError):
    """NATS could not do what was asked (not connected, no PubAck in time, stream missing)."""


class EventError(MozzartError):
    """Bytes that claim to be one of our events and are not."""

    scope = Scope.MESSAGE
    retry = Retry.NEVER


class StoreError(MozzartError):
    """The database could not do what was asked."""


class Fault(MozzartError):
    """A bug of ours that this one thing met; `mailcore.fault` makes it, and has told its traceback."""

    scope = Scope.MESSAGE
    retry = Retry.NEVER
