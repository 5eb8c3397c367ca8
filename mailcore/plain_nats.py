"""NATS requests by the standard library alone, for programs that are not to import a client: one connection, for a
moment, in a thread that may block."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import ssl
import time
from collections.abc import Iterator
from io import BufferedRWPair
from typing import Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

_LONGEST_LINE: Final = 1 << 16


class NatsRefused(Exception):
    """What the server said, or that it said nothing."""


class PlainNats:
    """A context manager; for `within` seconds at most. Everything raises NatsRefused, OSError, ValueError."""

    def __init__(self, url: str, *, name: str, within: float) -> None:
        """Of several servers in `url` the first one."""
        self._end = time.monotonic() + within
        first = url.split(",")[0]
        self._parts = urlsplit(first if "://" in first else f"nats://{first}")
        self._name = name
        self._sid = 0
        prefix = parse_qs(self._parts.query).get("inbox_prefix", ["_INBOX"])[0]
        self._inbox = f"{prefix}.{secrets.token_hex(8)}"

    def __enter__(self) -> Self:
        parts = self._parts
        if parts.scheme not in ("nats", "tls") or not parts.hostname:
            raise NatsRefused("NATS_URL is no nats:// or tls:// address")
        left = max(self._end - time.monotonic(), 0.1)
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection((parts.hostname, parts.port or 4222), left))
            connection.settimeout(left)
            greeting = _line(connection)
            if parts.scheme == "tls" or json.loads(greeting.partition(b" ")[2]).get("tls_required"):
                context = ssl.create_default_context()
                connection = stack.enter_context(context.wrap_socket(connection, server_hostname=parts.hostname))
            self._stream: BufferedRWPair = stack.enter_context(connection.makefile("rwb"))
            self._send(f"CONNECT {json.dumps(self._options())}")
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._opened.close()

    def ask(self, subject: str, payload: bytes = b"") -> Iterator[bytes]:
        """Each answer as it comes, until the time is over; all of them, or none but the first, may be taken."""
        self._sid += 1
        inbox = f"{self._inbox}.{self._sid}"
        self._send(f"SUB {inbox} {self._sid}", f"PUB {subject} {inbox} {len(payload)}", payload.decode(), "PING")
        while time.monotonic() < self._end:
            try:
                words = self._stream.readline().split()
            except TimeoutError:
                return
            if not words:
                return
            if words[0] == b"-ERR":
                raise NatsRefused(b" ".join(words[1:]).decode(errors="replace"))
            if words[0] in (b"MSG", b"HMSG"):
                body = self._stream.read(int(words[-1]) + 2)[:-2]
                if words[0] == b"MSG" and words[2] == str(self._sid).encode():
                    yield body
            elif words[0] == b"PING":
                self._send("PONG")

    def answer(self, subject: str, payload: bytes = b"") -> bytes:
        """The first answer; NatsRefused when there is none."""
        for body in self.ask(subject, payload):
            return body
        raise NatsRefused(f"no answer to {subject}")

    def _options(self) -> dict[str, object]:
        parts = self._parts
        options: dict[str, object] = {"verbose": False, "headers": True, "no_responders": True, "name": self._name}
        if parts.username and parts.password is not None:
            options |= {"user": unquote(parts.username), "pass": unquote(parts.password)}
        elif parts.username:
            options["auth_token"] = unquote(parts.username)
        return options

    def _send(self, *lines: str) -> None:
        self._stream.write("".join(f"{line}\r\n" for line in lines).encode())
        self._stream.flush()


def _line(connection: socket.socket) -> bytes:
    """The greeting, byte by byte: TLS may begin right behind it."""
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte or len(line) > _LONGEST_LINE:
            raise NatsRefused("NATS closed the connection")
        line += byte
    return line
