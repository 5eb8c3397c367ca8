"""The login command for what the server offers. The credentials live in the command's chunks and nowhere else."""

from __future__ import annotations

import asyncio
import base64

from mailcore.errors import AuthenticationFailed
from mailcore.imap import sasl
from mailcore.imap.quote import CRLF, may_be_sent, nonsync_limit, text
from syncer.imap.command import ImapCommand
from syncer.imap.model import Endpoint


def token_command(
    endpoint: Endpoint, capabilities: frozenset[str], tag: str, loop: asyncio.AbstractEventLoop, token: str
) -> ImapCommand:
    """AUTHENTICATE OAUTHBEARER or XOAUTH2, in one round trip where the server takes an initial response (RFC 4959); a
    further continuation is its error, and gets the answer that ends it. Raises AuthenticationFailed."""
    try:
        found = sasl.bearer(capabilities, endpoint.user, endpoint.host, endpoint.port, token)
    except ValueError as error:
        raise AuthenticationFailed(f"{endpoint}: {error}") from None
    if found is None:
        raise AuthenticationFailed(
            f"{endpoint}: the server takes no access token on this connection (neither OAUTHBEARER nor XOAUTH2). "
            f"Check {endpoint.setting('host')} and {endpoint.setting('auth')}; over TLS some offer more",
            code="CANNOT",  # RFC 5530 §3: another token would not help
        )
    initial, dismissal = (base64.b64encode(part) for part in (found.initial, found.dismissal))
    mechanism = found.mechanism.encode("ascii")
    if "SASL-IR" in capabilities:
        return ImapCommand("AUTHENTICATE", tag, (mechanism, initial), more=(dismissal + CRLF,), loop=loop)
    return ImapCommand("AUTHENTICATE", tag, (mechanism,), more=(initial + CRLF, dismissal + CRLF), loop=loop)


def login_command(
    endpoint: Endpoint, capabilities: frozenset[str], tag: str, loop: asyncio.AbstractEventLoop
) -> ImapCommand:
    """AUTHENTICATE PLAIN in one round trip (RFC 4616, RFC 4959) where offered, else LOGIN; PLAIN in two where LOGIN is
    disabled or would have to carry non-ASCII, which it has no charset for. Raises AuthenticationFailed."""
    if not (may_be_sent(endpoint.user) and may_be_sent(endpoint.password.get_secret_value())):
        raise AuthenticationFailed(f"{endpoint}: user name or password holds a NUL character, which IMAP cannot carry")
    plain = "AUTH=PLAIN" in capabilities
    ascii_only = endpoint.user.isascii() and endpoint.password.get_secret_value().isascii()
    if plain and "SASL-IR" in capabilities:
        return ImapCommand("AUTHENTICATE", tag, (b"PLAIN", _plain(endpoint)), loop=loop)
    if plain and ("LOGINDISABLED" in capabilities or not ascii_only):
        return ImapCommand("AUTHENTICATE", tag, (b"PLAIN",), more=(_plain(endpoint) + CRLF,), loop=loop)
    if "LOGINDISABLED" in capabilities:
        raise AuthenticationFailed(
            f"{endpoint}: the server offers neither LOGIN nor PLAIN on this connection. "
            f"Most servers do over TLS: set {endpoint.setting('use_ssl')} or {endpoint.setting('starttls')}"
        )
    return ImapCommand(
        "LOGIN",
        tag,
        (text(endpoint.user), text(endpoint.password.get_secret_value())),
        nonsync=nonsync_limit(capabilities),
        loop=loop,
    )


def _plain(endpoint: Endpoint) -> bytes:
    return base64.b64encode(
        f"\0{endpoint.user}\0{endpoint.password.get_secret_value()}".encode("utf-8", "surrogatepass")
    )
