"""A private Dovecot: own directory, own ports, plain and TLS on loopback, any user name with one password."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.support.imapserver import ImapServer, append, quoted, unquoted
from tests.support.programs import answers, bound_to_us, find_program, free_port, need_program, wait_until

__all__ = ["Dovecot", "append", "quoted", "unquoted"]

_ACCOUNT = "dovecot"  # the Debian package makes this user; Dovecot refuses to serve mail as root

_CERTIFICATE = """req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost
-keyout key.pem -out cert.pem -addext subjectAltName=DNS:localhost,IP:127.0.0.1"""

_CONFIG = """
base_dir = {home}/run
state_dir = {home}/run
log_path = {home}/log
protocols = imap
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
auth_mechanisms = plain login
auth_failure_delay = 0
disable_plaintext_auth = no
mail_max_userip_connections = 200
mail_location = {store}:~/mail
mail_fsync = never
first_valid_uid = 1
ssl = yes
ssl_cert = <{home}/cert.pem
ssl_key = <{home}/key.pem
ssl_dh =
# Dovecot waits half a second before it tells of mail after a quiet spell. With hibernation (`1s`) it is about 20 ms,
# but then 2.3.19 never tells of one message in seven: what comes while a connection goes to sleep.
imap_hibernate_timeout = {hibernate}
{extra}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={home}/users/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  chroot =
  client_limit = 1000
  process_min_avail = 1
  service_count = 0
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 500
  client_limit = 1
  unix_listener imap-master {{
    mode = 0600
    user = {user}
  }}
}}
service imap-hibernate {{
  unix_listener imap-hibernate {{
    mode = 0600
    user = {user}
  }}
}}
service anvil {{
  chroot =
  client_limit = 5000
}}
service auth {{
  client_limit = 5000
}}
service stats {{
  chroot =
  client_limit = 5000
  unix_listener stats-writer {{
    mode = 0600
    user = {user}
  }}
}}
"""


def _ids() -> tuple[str, str]:
    """User and group that the server runs as."""
    if os.geteuid() == 0:
        return _ACCOUNT, _ACCOUNT
    return pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name


@dataclass
class Dovecot(ImapServer):
    """Call `start()` before use, `close()` after it. `store` is `maildir` or `sdbox`, `extra` more lines
    of configuration."""

    store: str = "maildir"
    hibernate: str = "0"
    extra: str = ""
    host: str = "127.0.0.1"
    user: str = "anna"
    password: str = "correct-horse-7"
    port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mz-dovecot-", dir="/tmp")))
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def ca_file(self) -> Path:
        """The certificate, self-signed: its own authority. Valid for 127.0.0.1 and localhost."""
        return self.home / "cert.pem"

    @property
    def config(self) -> Path:
        return self.home / "dovecot.conf"

    @property
    def pid(self) -> int:
        """Of the master process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Dovecot:
        """Start (again) on the same ports with the same mail."""
        program = find_program("dovecot", "dovecot-imapd")
        if not self.config.exists():
            self._write()
        command = [*bound_to_us(_ids()[0]), program, "-F", "-c", str(self.config)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            wait_until(self._ready, "Dovecot answers", within=20)
        except TimeoutError as error:
            self.stop()
            raise RuntimeError(f"Dovecot did not start: {self.log_text()[-2000:]}") from error
        return self

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            assert self._process.stderr is not None
            raise RuntimeError(f"Dovecot ended: {self._process.stderr.read().decode()} {self.log_text()[-2000:]}")
        return answers(self.port)

    def _write(self) -> None:
        user, group = _ids()
        (self.home / "users").mkdir()
        subprocess.run(
            [find_program("openssl", "openssl"), *_CERTIFICATE.split()],
            cwd=self.home,
            check=True,
            capture_output=True,
        )
        self.config.write_text(
            _CONFIG.format(
                home=self.home,
                user=user,
                group=group,
                store=self.store,
                hibernate=self.hibernate,
                password=self.password,
                port=self.port,
                tls_port=self.tls_port,
                extra=self.extra,
            )
        )
        self.own(self.home)

    def own(self, root: Path) -> None:
        """Give what was written there to the account that the server runs as."""
        if os.geteuid() == 0:
            for path in (root, *root.rglob("*")):
                shutil.chown(path, *_ids())

    def stop(self, *, gently: bool = True) -> None:
        """End the server and every connection; the mail stays. Gently takes a second."""
        if self._process is None:
            return
        group = self._process.pid  # start_new_session made it the leader of its own group
        if gently:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self._process.wait(10)
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._process = None

    def restart(self) -> None:
        """Every connection is lost; the same mail on the same ports afterwards."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it and remove its directory."""
        self.stop(gently=False)
        shutil.rmtree(self.home, ignore_errors=True)

    def log_text(self) -> str:
        log = self.home / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def of(self, user: str) -> Dovecot:
        """The same server for another user, who has a mailbox of his own."""
        return replace(self, user=user)

    def change_uidvalidity(self, mailbox: str = "INBOX") -> int:
        """A new UIDVALIDITY (RFC 9051 §2.3.1.1) with the same messages; returns it."""
        new = self.uidvalidity(mailbox) + 1
        self.doveadm("mailbox", "update", "--uid-validity", str(new), mailbox)
        return new

    def doveadm(self, command: str, *arguments: str) -> str:
        """`doveadm` for this server and user; its output."""
        program = find_program("doveadm", "dovecot-core")
        words = [command, *arguments]
        split = 2 if command == "mailbox" else 1
        found = subprocess.run(
            [*bound_to_us(_ids()[0]), program, "-c", str(self.config), *words[:split], "-u", self.user, *words[split:]],
            check=False,
            capture_output=True,
            text=True,
        )
        if found.returncode:
            raise RuntimeError(f"doveadm {command}: {found.stderr}")
        return found.stdout


@pytest.fixture
def make_dovecot() -> Iterator[Callable[..., Dovecot]]:
    """`make_dovecot(store="sdbox", …)`: a started, empty private Dovecot; ended after the test."""
    need_program("dovecot", "dovecot-imapd")
    made: list[Dovecot] = []

    def make(**options: str) -> Dovecot:
        made.append(Dovecot(**options))  # type: ignore[arg-type]  # only the fields that are text
        return made[-1].start()

    yield make
    for server in made:
        server.close()


@pytest.fixture
def dovecot(make_dovecot: Callable[..., Dovecot]) -> Dovecot:
    """An empty private Dovecot (Maildir) for one test."""
    return make_dovecot()
