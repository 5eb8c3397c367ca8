"""The floor: IMAP spoken on a bare socket, with nothing done to the bytes."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass

from tests.support.dovecot import Dovecot


class RawImap:
    """A logged-in connection with INBOX selected; blocking."""

    def __init__(self, dovecot: Dovecot, port: int | None = None) -> None:
        self.socket = socket.create_connection((dovecot.host, port or dovecot.port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self.socket.makefile("rb")
        assert self._lines.readline().startswith(b"* OK")
        self.command(f"LOGIN {dovecot.user} {dovecot.password}")
        self.command("SELECT INBOX")

    def readline(self) -> bytes:
        return self._lines.readline()

    def command(self, text: str) -> list[bytes]:
        """One command without literals in its answer; the untagged lines."""
        self.socket.sendall(f"t {text}\r\n".encode())
        lines = []
        while not (line := self.readline()).startswith(b"t "):
            assert line, f"connection closed during {text}"
            lines.append(line)
        assert line.startswith(b"t OK"), line
        return lines

    def fetch_all(self) -> int:
        """Every message of the mailbox in one command; the bytes that came."""
        self.socket.sendall(b"floor UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\r\n")
        buffer = bytearray(1 << 20)
        view = memoryview(buffer)
        total, tail = 0, b""
        while b"\r\nfloor OK" not in tail:
            count = self.socket.recv_into(view)
            assert count, "connection closed during the fetch"
            total += count
            tail = (tail + bytes(view[max(0, count - 200) : count]))[-200:]
        return total

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


@dataclass(frozen=True)
class Seen:
    """The server said `count` EXISTS at `at` (time.monotonic)."""

    count: int
    at: float


class IdleWatch:
    """A raw IDLE connection in a thread, which notes when the server tells of mail."""

    def __init__(self, dovecot: Dovecot) -> None:
        self._imap = RawImap(dovecot)
        self._told = threading.Condition()
        self._seen: list[Seen] = []
        self._imap.socket.sendall(b"i IDLE\r\n")
        assert self._imap.readline().startswith(b"+")
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while line := self._imap.readline():
            now = time.monotonic()
            if line.endswith(b" EXISTS\r\n"):
                with self._told:
                    self._seen.append(Seen(int(line.split()[1]), now))
                    self._told.notify_all()
            elif line.startswith(b"i "):
                return

    def wait(self, count: int, timeout: float = 30) -> float:
        """When it was told of the message that made `count`; raises TimeoutError."""
        with self._told:
            if not self._told.wait_for(lambda: self._seen and self._seen[-1].count >= count, timeout):
                raise TimeoutError(f"no EXISTS for message {count} in {timeout:g} s")
            return next(seen.at for seen in self._seen if seen.count >= count)

    def close(self) -> None:
        self._imap.socket.sendall(b"DONE\r\n")
        self._thread.join(10)
        self._imap.close()
