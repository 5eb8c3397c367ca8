"""A private Courier: real `imapd`s on Maildirs, one user. Its login is ours: Courier's own has the path of a socket
below /run compiled in. What it does when a password is right, to start `imapd` on the connection, is done here."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import shutil
import signal
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from tests.support.imapserver import ImapServer
from tests.support.programs import (
    bound_to_us,
    environment_of,
    find_program,
    give_to,
    mail_account,
    need_program,
)

# As Debian has it in /etc/courier/imapd.
_CAPABILITY = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"
_SETTINGS = {
    "IMAP_CAPABILITY": _CAPABILITY,
    "IMAP_KEYWORDS": "1",
    "IMAP_ACL": "1",
    "IMAP_ENHANCEDIDLE": "0",
    "IMAP_IDLE_TIMEOUT": "60",
    "IMAP_USELOCKS": "1",
    "PROTOCOL": "IMAP",
    "TCPREMOTEIP": "127.0.0.1",
    "TCPREMOTEPORT": "1",
}
_COMMAND = re.compile(rb"(\S+) +(\w+) *(.*)\r\n", re.DOTALL)


class _Login(socketserver.StreamRequestHandler):
    """Until LOGIN with the right password."""

    rbufsize = 0  # what follows LOGIN is for imapd

    def handle(self) -> None:
        assert isinstance(self.server, _Listener)
        courier = self.server.courier
        self.wfile.write(b"* OK [CAPABILITY %b] Courier-IMAP ready\r\n" % _CAPABILITY.encode())
        while match := _COMMAND.fullmatch(self.rfile.readline()):
            tag, name, words = match[1], match[2].upper(), match[3]
            if name == b"CAPABILITY":
                self.wfile.write(b"* CAPABILITY %b\r\n%b OK CAPABILITY completed\r\n" % (_CAPABILITY.encode(), tag))
            elif name == b"LOGOUT":
                self.wfile.write(b"* BYE\r\n%b OK LOGOUT completed\r\n" % tag)
                return
            elif name == b"LOGIN" and shlex.split(words.decode()) == [courier.user, courier.password]:
                courier.serve(tag.decode(), self.connection.fileno())
                return
            else:
                self.wfile.write(b"%b NO Login failed.\r\n" % tag)


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    courier: Courier


@dataclass
class Courier(ImapServer):
    """Call `start()` before use, `close()` after it. Changes are told to IDLE once a minute, as Debian configures it.
    CONDSTORE, ESEARCH, LIST-STATUS and MOVE it has not."""

    prefix: ClassVar[str] = "INBOX."
    keeps_uidvalidity: ClassVar[bool] = False
    host: str = "127.0.0.1"
    user: str = "anna"
    password: str = "correct-horse-7"
    port: int = 0
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mz-courier-", dir="/tmp")))
    _listener: _Listener | None = field(default=None, repr=False)
    _watch: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _sessions: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)
    _client: str = field(default_factory=lambda: f"mozzart-{secrets.token_hex(6)}", repr=False)

    def start(self) -> Courier:
        make = find_program("maildirmake.courier", "courier-base")
        maildir = str(self.home / "Maildir")
        subprocess.run([make, maildir], env=environment_of(make), check=True)
        give_to(mail_account(), self.home)
        watch = find_program("gam_server", "gamin")  # through which the imapds of one Maildir lock it
        self._watch = self._run(watch, "--notimeout", self._client)
        self._listener = _Listener(("127.0.0.1", self.port), _Login)
        self._listener.courier = self
        self.port = self._listener.server_address[1]
        threading.Thread(target=self._listener.serve_forever, daemon=True).start()
        return self

    def serve(self, tag: str, connection: int) -> None:
        """Let an imapd go on with it after `tag LOGIN`, to its end."""
        imapd = str(Path(find_program("maildirmake.courier", "courier-base")).with_name("imapd"))  # Cyrus has one, too
        session = self._run(imapd, "Maildir", tag=tag, connection=connection)
        self._sessions.append(session)
        session.wait()

    def _run(self, program: str, *words: str, tag: str = "", connection: int | None = None) -> subprocess.Popen[bytes]:
        with (self.home / "log").open("ab") as log:
            return subprocess.Popen(
                [*bound_to_us(mail_account()), program, *words],
                cwd=self.home,
                env=environment_of(program)
                | _SETTINGS
                | {"GAM_CLIENT_ID": self._client, "AUTHENTICATED": self.user, "IMAPLOGINTAG": tag},
                stdin=connection if connection is not None else subprocess.DEVNULL,
                stdout=connection if connection is not None else log,
                stderr=log,
                start_new_session=True,
            )

    def close(self) -> None:
        """End it and remove its directory."""
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
        for process in (*self._sessions, self._watch):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture
def courier() -> Iterator[Courier]:
    """An empty private Courier for one test."""
    need_program("maildirmake.courier", "courier-imap")
    server = Courier()
    try:
        yield server.start()
    finally:
        server.close()
