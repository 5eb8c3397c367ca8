"""What else people use for the same job, measured on the same mailbox in the same run."""

from __future__ import annotations

import contextlib
import email
import email.message
import email.policy
import hashlib
import imaplib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.dovecot import Dovecot
from tests.support.programs import find_program

INSTALLED = Path(__file__).parent.parent / ".make" / "rivals"
_PEERS = Path(__file__).with_name("peers")


@dataclass(frozen=True)
class Run:
    """`seconds` of wall time, `cpu` seconds and `peak` resident bytes of the client; `messages` it has afterwards."""

    seconds: float
    cpu: float
    peak: int
    messages: int


_MBSYNC = """
IMAPAccount bench
Host {host}
Port {port}
User {user}
Pass {password}
SSLType None
AuthMechs LOGIN

IMAPStore server
Account bench

MaildirStore disk
Path {home}/
Inbox {home}/INBOX
SubFolders Verbatim

Channel bench
Far :server:
Near :disk:
Patterns INBOX
Sync Pull
Create Near
SyncState *
"""


def mbsync(dovecot: Dovecot, home: Path, port: int | None = None) -> Run:
    """isync into a Maildir, durable (its default: fsync). Run it twice on one `home` to see what no change costs."""
    home.mkdir(exist_ok=True)
    config = home / "mbsyncrc"
    config.write_text(
        _MBSYNC.format(
            host=dovecot.host, port=port or dovecot.port, user=dovecot.user, password=dovecot.password, home=home
        )
    )
    run = _timed([find_program("mbsync", "isync"), "-c", str(config), "-q", "bench"])
    messages = sum(1 for place in ("cur", "new") for _ in (home / "INBOX" / place).iterdir())
    return replace(run, messages=messages)


def imaplib_script(dovecot: Dovecot, home: Path, limit: int) -> Run:
    """The script that everybody writes first, in a process of its own, for the newest `limit` messages."""
    home.mkdir(exist_ok=True)
    words = [dovecot.host, str(dovecot.port), dovecot.user, dovecot.password, str(home), str(limit)]
    run = _timed([sys.executable, "-m", "bench.rivals", json.dumps(words)])
    with sqlite3.connect(home / "mail.db") as database:
        (messages,) = database.execute("SELECT count(*) FROM mail").fetchone()
    database.close()
    return replace(run, messages=messages)


class Missing(Exception):
    """It is not installed; `make rivals` does that."""


def django_mailbox(dovecot: Dovecot, home: Path) -> Run:
    """Everything in the INBOX, which is empty afterwards. Raises Missing."""
    home.mkdir(exist_ok=True)
    run = _timed([_installed("python/bin/python"), str(_PEERS / "mailbox_app.py"), *_words(dovecot, home)])
    with contextlib.closing(sqlite3.connect(home / "mail.db")) as database:
        (messages,) = database.execute("SELECT count(*) FROM django_mailbox_message").fetchone()
    return replace(run, messages=messages)


def imapflow(dovecot: Dovecot, home: Path) -> Run:
    """Everything in the INBOX, by imapflow and mailparser; nothing of it is fsynced. Raises Missing."""
    home.mkdir(exist_ok=True)
    modules = _installed("node_modules")
    command = [find_program("node", "nodejs"), str(_PEERS / "imapflow.cjs"), *_words(dovecot, home)]
    run = _timed(command, {"NODE_PATH": modules})
    return replace(run, messages=len((home / "mail.jsonl").read_text().splitlines()))


def _words(dovecot: Dovecot, home: Path) -> list[str]:
    return [dovecot.host, str(dovecot.port), dovecot.user, dovecot.password, str(home)]


def _installed(name: str) -> str:
    path = INSTALLED / name
    if not path.exists():
        raise Missing(str(path))
    return str(path)


def _timed(command: list[str], environment: Mapping[str, str] | None = None) -> Run:
    """Run it to its end; raises RuntimeError with its own words if it fails."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=said, env={**os.environ, **(environment or {})}
        )
        peak = 0
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            # Not ru_maxrss: that begins with what the parent held when it forked. VmHWM begins anew with the program.
            with contextlib.suppress(OSError, IndexError):
                peak = int(Path(f"/proc/{process.pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
            time.sleep(0.005)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(ended[1])
        if process.returncode:
            said.seek(0)
            words = said.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{Path(command[0]).name} ended with {process.returncode}: {words}")
    return Run(seconds, ended[2].ru_utime + ended[2].ru_stime, peak, 0)


def _script(host: str, port: str, user: str, password: str, home: str, limit: str) -> None:
    database = sqlite3.connect(f"{home}/mail.db")
    database.execute("CREATE TABLE mail (uid INTEGER PRIMARY KEY, subject TEXT, sender TEXT, body TEXT, files TEXT)")
    with imaplib.IMAP4(host, int(port)) as connection:
        connection.login(user, password)
        connection.select("INBOX")
        uids = connection.uid("SEARCH", "ALL")[1][0].split()
        for uid in uids[-int(limit) :]:
            raw = connection.uid("FETCH", uid.decode(), "(BODY.PEEK[])")[1][0][1]
            message = email.message_from_bytes(raw, policy=email.policy.default)
            assert isinstance(message, email.message.EmailMessage)
            files = []
            for part in message.iter_attachments():
                content = part.get_content()
                data = content if isinstance(content, bytes) else str(content).encode()
                name = hashlib.sha256(data).hexdigest()
                Path(home, name).write_bytes(data)
                files.append(name)
            body = message.get_body(("plain", "html"))
            text = body.get_content() if body is not None else ""
            row = (int(uid), message["subject"], message["from"], text, json.dumps(files))
            database.execute("INSERT INTO mail VALUES (?, ?, ?, ?, ?)", row)
            database.commit()
    database.close()


if __name__ == "__main__":
    _script(*json.loads(sys.argv[1]))
