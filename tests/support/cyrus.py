"""A private Cyrus: own directory, own port, plain on loopback, one user."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.imapserver import ImapServer
from tests.support.programs import (
    answers,
    bound_to_us,
    environment_of,
    find_program,
    free_port,
    give_to,
    mail_account,
    need_program,
    wait_until,
)

_CONFIG = """
configdirectory: {home}/conf
partition-default: {home}/spool
defaultpartition: default
cyrus_user: {account}
servername: localhost
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {home}/sasldb2
sasl_mech_list: PLAIN LOGIN
allowplaintext: yes
autocreate_quota: 0
unixhierarchysep: yes
altnamespace: yes
virtdomains: off
"""

_SERVICES = """
START {{
  recover cmd="{programs}/ctl_cyrusdb -C {home}/imapd.conf -r"
}}
DAEMON {{
  idled cmd="{programs}/idled -C {home}/imapd.conf"
}}
SERVICES {{
  imap cmd="{programs}/imapd -C {home}/imapd.conf" listen="127.0.0.1:{port}" prefork=1 maxchild=100
}}
EVENTS {{
}}
"""


@dataclass
class Cyrus(ImapServer):
    """Call `start()` before use, `close()` after it."""

    host: str = "127.0.0.1"
    user: str = "anna"
    password: str = "correct-horse-7"
    port: int = field(default_factory=free_port)
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mz-cyrus-", dir="/tmp")))
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        return self.home / "log"

    def start(self) -> Cyrus:
        programs = Path(find_program("ctl_cyrusdb", "cyrus-imapd")).parent
        facts = {"home": self.home, "account": mail_account(), "programs": programs, "port": self.port}
        (self.home / "imapd.conf").write_text(_CONFIG.format(**facts))
        (self.home / "cyrus.conf").write_text(_SERVICES.format(**facts))
        for name in ("conf", "conf/proc", "conf/socket", "spool"):
            (self.home / name).mkdir()
        enrol = find_program("saslpasswd2", "sasl2-bin")
        subprocess.run(
            [enrol, "-p", "-c", "-f", str(self.home / "sasldb2"), "-u", "localhost", self.user],
            input=self.password.encode(),
            env=environment_of(enrol),
            check=True,
        )
        give_to(mail_account(), self.home)
        master = str(programs / "master")
        files = ("-C", "imapd.conf"), ("-M", "cyrus.conf"), ("-p", "pid")
        words = [word for option, name in files for word in (option, str(self.home / name))]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*bound_to_us(mail_account()), master, "-D", *words],
                cwd=self.home,
                env=environment_of(master),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: answers(self.port), lambda: f"Cyrus answers: {self.log.read_text()}", within=20)
        return self

    def close(self) -> None:
        """End it and remove its directory."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture
def cyrus() -> Iterator[Cyrus]:
    """An empty private Cyrus for one test."""
    need_program("ctl_cyrusdb", "cyrus-imapd")
    server = Cyrus()
    try:
        yield server.start()
    finally:
        server.close()
