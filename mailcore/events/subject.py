"""Subjects `mail.<account>.<mailbox>.<type>`, with tokens that carry any name reversibly."""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

from mailcore.errors import EventError
from mailcore.events.identity import MailboxKey

PREFIX: Final = "mail"
# `.` and white space end a token, `*` and `>` are wildcards; `%` is our escape. quote() leaves `.`: done by hand.
_SAFE: Final = "!$&'()+,-/:;=@_~#<[]^`{|}?\"\\"


@lru_cache(maxsize=1024)  # the same few names, for every event
def encode_token(name: str) -> str:
    """Any string as one NATS token. The empty string becomes a lone `%`, which no other string can give."""
    if not name:
        return "%"
    return quote(name, safe=_SAFE, encoding="utf-8", errors="surrogatepass").replace(".", "%2E")


def decode_token(token: str) -> str:
    """The inverse of `encode_token`; raises EventError for what it never gives."""
    if token == "%":
        return ""
    try:
        name = unquote(token, encoding="utf-8", errors="surrogatepass")
    except UnicodeDecodeError as error:
        raise EventError(f"not a subject token of ours: {token[:200]!r}") from error
    if encode_token(name) != token:
        raise EventError(f"not a subject token of ours: {token[:200]!r}")
    return name


def subject(key: MailboxKey, kind: str) -> str:
    """The subject of an event of type `kind` in mailbox `key`."""
    return f"{PREFIX}.{encode_token(key.account)}.{encode_token(key.mailbox)}.{kind}"


def parse_subject(text: str) -> tuple[MailboxKey, str]:
    """The inverse of `subject`; raises EventError."""
    parts = text.split(".")
    if len(parts) != 4 or parts[0] != PREFIX or not parts[3]:
        raise EventError(f"not a subject of ours: {text[:200]!r}")
    return MailboxKey(decode_token(parts[1]), decode_token(parts[2])), parts[3]
