"""A scripted IMAP server: says byte by byte what real servers will not say on demand.

A script is a function of a Session that runs in a thread of its own, one for each connection; the same test code can so
be run under asyncio and trio. What goes wrong in a script fails the test.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from syncer.imap.model import Endpoint

CAPABILITIES = "IMAP4rev1 IDLE ESEARCH UNSELECT"
PATIENCE = 20.0  # seconds that a script waits for the client


@dataclass
class Session:
    """One connection, seen from the server. `tag` is that of the last command expected."""

    socket: socket.socket
    tag: str = ""
    _buffer: bytes = b""

    def send(self, data: bytes | str) -> None:
        """Exactly these bytes, in one call."""
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def say(self, *lines: str) -> None:
        """Lines, in one segment; `TAG` at the begin of one stands for the tag of the last command."""
        self.send("".join(re.sub(r"\ATAG\b", self.tag, line) + "\r\n" for line in lines))

    def line(self) -> str:
        """The next line of the client's, without CRLF."""
        while b"\r\n" not in self._buffer:
            data = self.socket.recv(65536)
            assert data, f"the client left after {self._buffer!r}"
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line.decode("utf-8", "surrogateescape")

    def read(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = self.socket.recv(65536)
            assert data, f"the client left after {self._buffer!r}"
            self._buffer += data
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def expect(self, pattern: str) -> re.Match[str]:
        """The next command must match; remembers its tag."""
        line = self.line()
        self.tag, _, command = line.partition(" ")
        found = re.fullmatch(pattern, command)
        assert found, f"expected {pattern!r}, the client sent {line!r}"
        return found

    def answer(self, pattern: str, *lines: str, end: str = "OK done") -> re.Match[str]:
        """Expect a command, say `lines`, then end it."""
        found = self.expect(pattern)
        self.say(*lines, f"{self.tag} {end}")
        return found

    def log_in(self, capabilities: str = CAPABILITIES) -> None:
        """Greet and let anybody in."""
        self.say(f"* OK [CAPABILITY {capabilities}] hello")
        self.answer("LOGIN .*|AUTHENTICATE PLAIN .*", end=f"OK [CAPABILITY {capabilities}] in")

    def select(self, exists: int = 3) -> None:
        self.answer(
            "SELECT .*", f"* {exists} EXISTS", "* OK [UIDVALIDITY 7] x", f"* OK [UIDNEXT {exists + 1}] x", end="OK in"
        )

    def begin(self, exists: int = 3, capabilities: str = CAPABILITIES) -> None:
        """Log in and select."""
        self.log_in(capabilities)
        self.select(exists)

    def idle(self) -> None:
        self.expect("IDLE")
        self.say("+ idling")

    def until_closed(self) -> bytes:
        """Wait for the client to leave; what it still sent."""
        with contextlib.suppress(ConnectionError):
            while data := self.socket.recv(65536):
                self._buffer += data
        return self._buffer


Script = Callable[[Session], None]


def message(uid: int, body: str = "x", flags: str = "") -> str:
    """A FETCH response with everything that uid_fetch_messages() asks for."""
    return (
        f'* {uid} FETCH (UID {uid} FLAGS ({flags}) INTERNALDATE "01-Jan-2026 10:00:00 +0100" '
        f"RFC822.SIZE {len(body)} BODY[]<0> {{{len(body)}}}\r\n{body})"
    )


@dataclass
class ScriptedImap:
    """Serves until `close()`. `certificate` is (cert.pem, key.pem) for TLS from the first byte."""

    script: Script
    certificate: tuple[Path, Path] | None = None
    host: str = "127.0.0.1"
    errors: list[BaseException] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _sockets: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def endpoint(self, **changes: Any) -> Endpoint:
        settings: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": "anna",
            "password": SecretStr("secret"),
            "use_ssl": self.certificate is not None,
        }
        return Endpoint(**(settings | changes))

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(PATIENCE)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets.append(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self.certificate is not None:
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                context.load_cert_chain(*self.certificate)
                try:
                    connection = context.wrap_socket(connection, server_side=True)
                except OSError:
                    return  # the client refused our certificate, as it may
                self._sockets.append(connection)
            self.script(Session(connection))
        except BaseException as error:  # noqa: BLE001  # shown by close(), in the test's own thread
            self.errors.append(error)
        finally:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def close(self) -> None:
        """End it; raises what a script raised."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a script did not end"
        if self.errors:
            raise self.errors[0]


@pytest.fixture
def scripted_imap() -> Iterator[Callable[..., ScriptedImap]]:
    """`scripted_imap(script)`: a server that runs `script` for each connection; ended after the test."""
    made: list[ScriptedImap] = []

    def make(script: Script, **options: Any) -> ScriptedImap:
        made.append(ScriptedImap(script, **options))
        return made[-1]

    yield make
    for server in made:
        server.close()
