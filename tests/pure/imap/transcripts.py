"""What providers say when they refuse, as people and the servers' own sources report it, and what it means to us; `any`
is a sibling that nobody reported.

A row: vendor, what was asked (LOGIN, another command, BYE, GREETING), the server's line without its tag, then the axes
expected, the pause in seconds (None: the caller's own) and whether a person is told to check the password.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from mailcore.errors import Retry, Scope

ACCOUNT, MAILBOX, MESSAGE = Scope.ACCOUNT, Scope.MAILBOX, Scope.MESSAGE
NOW, LATER, NEVER = Retry.NOW, Retry.LATER, Retry.NEVER


class Transcript(NamedTuple):
    vendor: str
    asked: str
    line: str
    scope: Scope
    retry: Retry
    pause: float | None
    code: str = ""
    advice: str = ""


TRANSCRIPTS: Final = (
    # The error of RFC 7628 §3.2.2, as login_refused() adds it to the text.
    Transcript("any", "LOGIN", "NO AUTHENTICATE failed (status insufficient_scope; it wants the scope mail_r)",
               ACCOUNT, NEVER, None, "INSUFFICIENTSCOPE", "its scope is too small"),
    # Gmail
    Transcript(
        "Gmail", "LOGIN", "NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)",
        ACCOUNT, LATER, 900, "OVERQUOTA",
    ),
    Transcript(
        "Gmail", "UID FETCH", "NO [OVERQUOTA] Account exceeded command or bandwidth limits. q18mb91437822wju",
        ACCOUNT, LATER, 900, "OVERQUOTA",
    ),
    Transcript(
        "Gmail", "UID FETCH", "NO [ALERT] Account exceeded bandwidth limits. (Failure)",
        ACCOUNT, LATER, 900, "OVERQUOTA",
    ),
    Transcript(
        "Gmail", "LOGIN", "NO [ALERT] Too many simultaneous connections. (Failure)", ACCOUNT, LATER, 60, "LIMIT"
    ),
    Transcript("Gmail", "BYE", "BYE Too many simultaneous connections. (Failure)", ACCOUNT, LATER, 60, "LIMIT"),
    Transcript(
        "Gmail", "LOGIN",
        "NO [ALERT] Please log in via your web browser: https://support.google.com/mail/accounts/answer/78754 "
        "(Failure)",
        ACCOUNT, NEVER, None, "WEBALERT", "browser",
    ),
    Transcript("Gmail", "LOGIN", "NO [WEBALERT https://accounts.google.com/x] Web login required.",
               ACCOUNT, NEVER, None, "WEBALERT", "browser"),
    Transcript(
        "Gmail", "LOGIN",
        "NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 "
        "(Failure)",
        ACCOUNT, NEVER, None, "AUTHENTICATIONFAILED", "app password",
    ),
    Transcript("Gmail", "LOGIN", "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
               ACCOUNT, NEVER, None, "AUTHENTICATIONFAILED", "IMAP_PASSWORD"),
    Transcript(
        "Gmail", "LOGIN",
        "NO [ALERT] Your account is not enabled for IMAP use. Please visit your account settings page and enable your "
        "account for IMAP access. (Failure)",
        ACCOUNT, NEVER, None, "IMAPDISABLED", "Allow IMAP",
    ),
    Transcript("Gmail", "BYE", "BYE Temporary System Error s1mb12345", ACCOUNT, LATER, 30, "UNAVAILABLE"),
    Transcript("Gmail", "BYE", "BYE Session expired, please login again.", MAILBOX, NOW, None, "EXPIRED"),
    # Exchange Online and Exchange
    Transcript("Exchange", "LOGIN", "BAD User is authenticated but not connected.", ACCOUNT, LATER, 5, "UNAVAILABLE"),
    Transcript("Exchange", "SELECT", "BAD User is authenticated but not connected.", ACCOUNT, LATER, 5, "UNAVAILABLE"),
    Transcript(
        "Exchange", "UID FETCH", "BAD Request is throttled. Suggested Backoff Time: 299910 milliseconds",
        ACCOUNT, LATER, 299.91, "THROTTLED",
    ),
    Transcript(
        "Exchange", "LOGIN", "NO [THROTTLED] Request is throttled. Suggested Backoff Time: 89117 milliseconds",
        ACCOUNT, LATER, 89.117, "THROTTLED",
    ),
    Transcript("Exchange", "SELECT", "NO Server Unavailable. 15", ACCOUNT, LATER, 30, "UNAVAILABLE"),
    Transcript("Exchange", "LOGIN", "NO Server Unavailable. 15", ACCOUNT, LATER, 30, "UNAVAILABLE"),
    Transcript("Exchange", "LOGIN", "NO AUTHENTICATE failed.", ACCOUNT, NEVER, None, "", "IMAP_PASSWORD"),
    Transcript("Exchange", "LOGIN", "NO LOGIN failed.", ACCOUNT, NEVER, None, "", "IMAP_PASSWORD"),
    Transcript("Exchange", "BYE", "BYE Session invalidated - AccessTokenExpired", MAILBOX, NOW, None, "EXPIRED"),
    Transcript("Exchange", "BYE", "BYE Connection closed. 14", MAILBOX, LATER, None),
    Transcript("Exchange", "UID FETCH", "BAD Command Error. 12", MESSAGE, LATER, None),
    # Yahoo and AOL
    Transcript(
        "Yahoo", "UID FETCH", "NO [LIMIT] UID FETCH Rate limit hit. Please try again in 5 minutes",
        ACCOUNT, LATER, 300, "THROTTLED",
    ),
    Transcript("Yahoo", "LOGIN", "NO [LIMIT] LOGIN Rate limit hit.", ACCOUNT, LATER, 60, "THROTTLED"),
    Transcript(
        "Yahoo", "UID FETCH", "NO [SERVERBUG] UID FETCH Server error - Please try again later",
        MESSAGE, LATER, None, "SERVERBUG",
    ),
    Transcript(
        "Yahoo", "SELECT", "NO [SERVERBUG] SELECT Server error - Please try again later",
        MAILBOX, LATER, None, "SERVERBUG",
    ),
    Transcript("Yahoo", "LOGIN", "NO [UNAVAILABLE] AUTHENTICATE Server error - Please try again later",
               ACCOUNT, LATER, 30, "SERVERBUG"),
    Transcript(  # reported of one and the same message for ever
        "Yahoo", "UID FETCH", "NO [UNAVAILABLE] UID FETCH Server error while fetching messages",
        MESSAGE, LATER, None, "SERVERBUG",
    ),
    Transcript(
        "Yahoo", "LOGIN",
        "NO [UNAVAILABLE] LOGIN failure. Server error--please try again after some time. Error code OCF12",
        ACCOUNT, LATER, 30, "SERVERBUG",
    ),
    Transcript("Yahoo", "UID SEARCH", "NO [SERVERBUG] UID SEARCH Server error", MAILBOX, LATER, None, "SERVERBUG"),
    Transcript("Yahoo", "LOGIN", "NO Too many bad login attempts.", ACCOUNT, LATER, 900, "THROTTLED"),
    Transcript("Yahoo", "LOGIN", "NO [AUTHENTICATIONFAILED] LOGIN Invalid credentials",
               ACCOUNT, NEVER, None, "AUTHENTICATIONFAILED", "IMAP_PASSWORD"),
    Transcript("Yahoo", "BYE", "BYE IMAP4rev1 Server logging out", MAILBOX, LATER, None),
    # iCloud
    Transcript("iCloud", "LOGIN", "NO [AUTHENTICATIONFAILED] Authentication Failed",
               ACCOUNT, NEVER, None, "AUTHENTICATIONFAILED", "IMAP_PASSWORD"),
    Transcript(
        "iCloud", "LOGIN", "BAD [UNAVAILABLE] Service temporarily unavailable", ACCOUNT, LATER, 30, "UNAVAILABLE"
    ),
    # Yandex
    Transcript(
        "Yandex", "LOGIN", "NO [AUTHENTICATIONFAILED] LOGIN invalid credentials or IMAP is disabled sc=cYXlpv732Cg1",
        ACCOUNT, NEVER, None, "AUTHENTICATIONFAILED", "Allow IMAP",
    ),
    Transcript(
        "Yandex", "LOGIN", "NO [UNAVAILABLE] LOGIN internal server error sc=x", ACCOUNT, LATER, 30, "SERVERBUG"
    ),
    Transcript("Yandex", "LOGIN", "NO [AUTHENTICATIONFAILED] LOGIN Ommm sc=x",
               ACCOUNT, NEVER, None, "AUTHENTICATIONFAILED", "IMAP_PASSWORD"),
    Transcript("Yandex", "LOGIN", "BAD [PRIVACYREQUIRED] LOGIN Working without SSL/TLS encryption is not allowed",
               ACCOUNT, NEVER, None, "PRIVACYREQUIRED", "TLS"),
    Transcript("Yandex", "BYE", "BYE Autologout; idle for too long", MAILBOX, NOW, None),
    # 163, 126, QQ
    Transcript(
        "163", "SELECT", "NO SELECT Unsafe Login. Please contact kefu@188.com for help",
        ACCOUNT, NEVER, None, "CLIENTREFUSED", "provider",
    ),
    Transcript("163", "LOGIN", "NO LOGIN Login error or password error",
               ACCOUNT, NEVER, None, "", "IMAP_PASSWORD"),
    Transcript(
        "QQ", "LOGIN",
        "NO Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, or "
        "system is busy.",
        ACCOUNT, NEVER, None, "AUTHENTICATIONFAILED", "Allow IMAP",
    ),
    Transcript("QQ", "LOGIN", "NO Please using authorized code to login.",
               ACCOUNT, NEVER, None, "AUTHENTICATIONFAILED", "app password"),
    # Fastmail, Cyrus
    Transcript("Fastmail", "LOGIN", "NO [AUTHENTICATIONFAILED] Incorrect username, password or access token",
               ACCOUNT, NEVER, None, "AUTHENTICATIONFAILED", "IMAP_PASSWORD"),
    Transcript("Cyrus", "LOGIN", "NO Login failed: authentication failure", ACCOUNT, NEVER, None, "", "IMAP_PASSWORD"),
    Transcript("Cyrus", "BYE", "BYE idle for too long", MAILBOX, NOW, None),
    Transcript("Cyrus", "SELECT", "NO System I/O error", MAILBOX, LATER, None, "SERVERBUG"),
    Transcript("Cyrus", "SELECT", "NO [NONEXISTENT] Mailbox does not exist", MAILBOX, LATER, None, "NONEXISTENT"),
    # Zoho
    Transcript("Zoho", "LOGIN", "NO [AUTHENTICATIONFAILED] Invalid credentials(Failure)",
               ACCOUNT, NEVER, None, "AUTHENTICATIONFAILED", "IMAP_PASSWORD"),
    Transcript(
        "Zoho", "LOGIN",
        "NO [ALERT] You are yet to enable IMAP for your account. Please contact your administrator (Failure)",
        ACCOUNT, NEVER, None, "IMAPDISABLED", "Allow IMAP",
    ),
    # Dovecot
    Transcript("Dovecot", "LOGIN", "NO [AUTHENTICATIONFAILED] Authentication failed.",
               ACCOUNT, NEVER, None, "AUTHENTICATIONFAILED", "IMAP_PASSWORD"),
    Transcript(
        "Dovecot", "LOGIN", "NO [UNAVAILABLE] Temporary authentication failure. [mx1:2026-01-01 10:00:00]",
        ACCOUNT, LATER, 30, "UNAVAILABLE",
    ),
    Transcript(
        "Dovecot", "LOGIN",
        "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
        ACCOUNT, LATER, 60, "LIMIT",
    ),
    Transcript(
        "Dovecot", "LOGIN",
        "NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.",
        ACCOUNT, NEVER, None, "PRIVACYREQUIRED", "TLS",
    ),
    Transcript(
        "Dovecot", "UID FETCH", "NO [SERVERBUG] Internal error occurred. Refer to server log for more information.",
        MESSAGE, LATER, None, "SERVERBUG",
    ),
    Transcript("Dovecot", "UID FETCH", "NO [EXPUNGEISSUED] Some of the requested messages no longer exist.",
               MESSAGE, LATER, None, "EXPUNGEISSUED"),
    Transcript("Dovecot", "BYE", "BYE Disconnected for inactivity.", MAILBOX, NOW, None),
    Transcript("Dovecot", "BYE", "BYE Server shutting down.", MAILBOX, LATER, None),
    Transcript("Dovecot", "BYE", "BYE Too many invalid IMAP commands.", MAILBOX, LATER, None),
    # Courier
    Transcript("Courier", "LOGIN", "NO Login failed.", ACCOUNT, NEVER, None, "", "IMAP_PASSWORD"),
    Transcript("Courier", "UID FETCH", "NO Error in IMAP command received by server.", MESSAGE, LATER, None),
    # IceWarp
    Transcript(
        "IceWarp", "GREETING", " NO LOGOUT Intrusion prevention active for 192.0.2.7", ACCOUNT, LATER, 900, "THROTTLED"
    ),
    # Domino
    Transcript(
        "Domino", "LOGIN", "NO LOGIN invalid user name or password",
        ACCOUNT, NEVER, None, "AUTHENTICATIONFAILED", "IMAP_PASSWORD",
    ),
    # Stalwart
    Transcript("Stalwart", "BYE", "BYE Server shutting down.", MAILBOX, LATER, None),
    # hMailServer
    Transcript(
        "hMailServer", "LOGIN", "NO Invalid user name or password.",
        ACCOUNT, NEVER, None, "AUTHENTICATIONFAILED", "IMAP_PASSWORD",
    ),
    # Nobody's own
    Transcript("any", "GREETING", "* BYE Too many open connections from your host", ACCOUNT, LATER, 60, "LIMIT"),
    Transcript("any", "GREETING", "* BYE Server is too busy", ACCOUNT, LATER, 30, "UNAVAILABLE"),
    Transcript("any", "LOGIN", "NO [LIMIT] Too many authentication attempts", ACCOUNT, LATER, 900, "THROTTLED"),
    Transcript(
        "any", "LOGIN", "NO Authentication unsuccessful, basic authentication is disabled.",
        ACCOUNT, NEVER, None, "BASICBLOCKED", "OAuth",
    ),
    Transcript("any", "BYE", "BYE Too many connections", ACCOUNT, LATER, 60, "LIMIT"),
    Transcript("any", "SELECT", "NO [INUSE] Mailbox in use", MAILBOX, LATER, None, "INUSE"),
    Transcript("any", "LOGIN", "NO [INUSE] Account in use", ACCOUNT, LATER, 30, "INUSE"),
    Transcript("any", "UID FETCH", "NO Internal error occurred", MESSAGE, LATER, None, "SERVERBUG"),
    Transcript("any", "UID FETCH", "NO [LIMIT] slow down", ACCOUNT, LATER, 60, "LIMIT"),
    Transcript("any", "SELECT", "NO [UNAVAILABLE] user store is offline", ACCOUNT, LATER, 30, "UNAVAILABLE"),
    Transcript("any", "SELECT", "NO Please try again in 2 minutes", ACCOUNT, LATER, 120, "THROTTLED"),
    Transcript(
        "any", "LOGIN", "NO [AUTHENTICATIONFAILED] Account locked for 15 minutes",
        ACCOUNT, LATER, 900, "THROTTLED",
    ),
    Transcript("any", "LOGIN", "NO Connection limit exceeded", ACCOUNT, LATER, 60, "LIMIT"),
    Transcript("any", "LOGIN", "NO Cannot log in now, please try again later", ACCOUNT, LATER, 30, "UNAVAILABLE"),
    Transcript("any", "SELECT", "NO Mailbox is temporarily locked", MAILBOX, LATER, 30, "UNAVAILABLE"),
    Transcript("any", "SELECT", "NO [NOPERM] not yours", MAILBOX, LATER, None, "NOPERM"),
    Transcript("any", "UID SEARCH", "BAD Could not parse command", MAILBOX, LATER, None),
    Transcript("any", "GREETING", "* NO closed for the night", ACCOUNT, LATER, 5),
    Transcript("any", "GREETING", "* BAD you again", ACCOUNT, LATER, 5),
    Transcript(
        "any", "GREETING", "* BYE [UNAVAILABLE] going down, retry after 40 seconds",
        ACCOUNT, LATER, 40, "UNAVAILABLE",
    ),
    Transcript("any", "GREETING", "220 mail.example ESMTP ready", ACCOUNT, LATER, 5),
    Transcript("any", "GREETING", "HTTP/1.1 400 Bad Request", ACCOUNT, LATER, 5),
)  # fmt: skip
