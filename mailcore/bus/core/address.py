"""What `NATS_URL` says, with the credentials kept apart so that no address we print can hold them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from mailcore.errors import Retry, SettingsError

_SCHEMES: Final = ("nats", "tls", "ws", "wss")
_INBOX: Final = "_INBOX"
_SUBJECT: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class Address:
    """`servers` are URLs without user information. Either `user` and `password` are set, or `token`, or nothing.

    Answers come to subjects below `inbox_prefix`: a server whose users have permissions keeps one user's answers from
    the others by it.
    """

    servers: tuple[str, ...]
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    inbox_prefix: str = _INBOX

    def __str__(self) -> str:
        return ",".join(self.servers)


def parse_address(url: str) -> Address:
    """Read `nats://[user:password@|token@]host[:port][?inbox_prefix=SUBJECT]`, or several of them with commas; the
    first user information and the first prefix count for all. Percent-encoded user information is decoded. Raises
    SettingsError, which never shows the URL."""
    servers: list[str] = []
    user = password = token = inbox_prefix = ""
    for number, text in enumerate((part.strip() for part in url.split(",")), start=1):
        try:
            split = urlsplit(text if "://" in text else f"nats://{text}")
            host, port = split.hostname, split.port or 4222
            query = parse_qs(split.query, keep_blank_values=True, strict_parsing=bool(split.query))
        except ValueError as error:
            raise _wrong(number) from error
        if not host or split.scheme not in _SCHEMES or not query.keys() <= {"inbox_prefix"}:
            raise _wrong(number)
        for prefix in query.get("inbox_prefix", ()):
            if not _SUBJECT.fullmatch(prefix):
                raise _wrong(number)
            inbox_prefix = inbox_prefix or prefix
        if split.username and not (user or token):
            if split.password is None:
                token = unquote(split.username)
            else:
                user, password = unquote(split.username), unquote(split.password)
        servers.append(f"{split.scheme}://{f'[{host}]' if ':' in host else host}:{port}")
    return Address(tuple(servers), user, password, token, inbox_prefix or _INBOX)


def _wrong(number: int) -> SettingsError:
    return SettingsError(
        f"NATS_URL: server {number} is not of the form nats://[user:password@]host[:port][?inbox_prefix=SUBJECT] "
        "(or tls://, ws://, wss://)",
        retry=Retry.NEVER,
    )
