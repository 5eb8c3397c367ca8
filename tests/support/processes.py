"""The program as a person starts it: settings in the environment, its own directory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from supervisor.fork_server import AVAILABLE
from supervisor.forked import Forked
from tests.support.forking import fork
from tests.support.imapserver import ImapServer
from tests.support.mail import Mail, SentFile
from tests.support.programs import answers, free_port, wait_until

MOZZART = Path(sys.executable).with_name("mozzart")
ROLES = ("syncer", "consumer", "api", "nats-server")


@dataclass(frozen=True)
class Answer:
    """One HTTP response; `body` is as it came, `text` and `json` (or None) are read from it."""

    status: int
    headers: dict[str, str]
    json: Any
    text: str = ""
    body: bytes = b""


@dataclass
class Mozzart:
    """One installation in a directory of its own. `environment` adds to and overrides the settings. `executed`: by the
    console script, imports and all; otherwise the program is forked, which is the same but for the time it takes."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    api_port: int = field(default_factory=free_port)
    token: str = "a-token-only-for-tests-5f2c"
    executed: bool = not AVAILABLE
    _process: subprocess.Popen[bytes] | Forked | None = field(default=None, repr=False)

    @property
    def database(self) -> Path:
        """Of SQLite, wherever the settings have it."""
        _, _, elsewhere = self.environment.get("DATABASE_URL", "").partition("sqlite+aiosqlite:///")
        return Path(elsewhere) if elsewhere else self.home / "data" / "mozzart.db"

    @property
    def media(self) -> Path:
        return Path(self.environment.get("MEDIA_ROOT", self.home / "media"))

    @property
    def log(self) -> Path:
        return self.home / "log.txt"

    @property
    def settings(self) -> dict[str, str]:
        """The whole environment of the program: nothing of ours leaks in, except what a process needs to run."""
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
        own = {
            "API_PORT": str(self.api_port),
            "API_TOKEN": self.token,
            "DATA_DIR": str(self.home / "data"),
            "MEDIA_ROOT": str(self.media),
            "DATABASE_URL": f"sqlite+aiosqlite:///{self.database}",
        }
        return kept | own | self.environment

    def use(self, server: ImapServer, *, port: int | None = None) -> Mozzart:
        """Settings for that server (`port`: of a proxy in front of it)."""
        self.environment |= {
            "IMAP_HOST": server.host,
            "IMAP_PORT": str(port or server.port),
            "IMAP_USER": server.user,
            "IMAP_PASSWORD": server.password,
            "IMAP_USE_SSL": "False",
        }
        return self

    def start(self, *arguments: str) -> Mozzart:
        """`mozzart up`, or another command that stays."""
        with self.log.open("ab") as log:
            self._process = self._launch(arguments or ("up",), log, log)
        return self

    def _launch(
        self, arguments: tuple[str, ...], output: IO[bytes], error: IO[bytes]
    ) -> subprocess.Popen[bytes] | Forked:
        if not self.executed:
            return fork(arguments, self.settings, self.home, output.fileno(), error.fileno())
        return subprocess.Popen(
            [str(MOZZART), *arguments],
            cwd=self.home,
            env=self.settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=error,
            start_new_session=True,
        )

    def wait_ready(self, *, within: float = 30) -> Mozzart:
        """Until /readyz says 200."""

        def ready() -> bool:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(f"`mozzart up` ended with {self._process.returncode}:\n{self.log_text()[-4000:]}")
            with contextlib.suppress(OSError):
                return self.http("GET", "/readyz").status == 200
            return False

        wait_until(ready, lambda: f"ready\n{self.log_text()[-4000:]}", within=within, every=0.05)
        return self

    def live(self) -> list[dict[str, Any]]:
        """What the syncer tells of each mailbox now; [] while nobody answers."""
        with contextlib.suppress(OSError):
            answer = self.http("GET", "/api/mailbox/states/")
            if answer.status == 200:
                return [one["live"] for one in answer.json["mailboxes"] if one["live"]]
        return []

    def wait_live(self, *connection: str, within: float = 30) -> Mozzart:
        """Until the syncer tells of a mailbox, in one of those states ("idling", "polling", …; none given: in any)."""

        def are_live() -> bool:
            states = [one["connection"] for one in self.live()]
            return any(state in connection for state in states) if connection else bool(states)

        wait_until(are_live, lambda: f"a mailbox is live\n{self.log_text()[-4000:]}", within=within, every=0.05)
        return self

    def run(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """A command that ends."""
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as error:
            process = self._launch(arguments, output, error)
            try:
                code = process.wait(timeout)
            finally:
                process.kill()
                process.wait()
            words = []
            for file in (output, error):
                file.seek(0)
                words.append(file.read().decode())
        return subprocess.CompletedProcess(arguments, code, *words)

    def stop(self, *, within: float = 10) -> float:
        """SIGTERM, as `docker stop` does; the seconds it took. Raises TimeoutError, leaves nothing either way."""
        if self._process is None:
            return 0.0
        process, self._process = self._process, None
        family = self._family(process.pid)
        began = time.monotonic()
        process.terminate()
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"still running {within:g} s after SIGTERM:\n{self.log_text()[-4000:]}") from None
        finally:
            left = [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
            for one in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            process.kill()
            process.wait(10)
        took = time.monotonic() - began
        assert not left, f"left running: {left}"
        return took

    def interrupt(self) -> subprocess.Popen[bytes] | Forked:
        """SIGINT to the leader, as Ctrl-C does; the process, to be waited for."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process

    def hang_up(self) -> None:
        """SIGHUP to the leader."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @staticmethod
    def _family(pid: int) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(pid).children(recursive=True)
        return []

    def processes(self, roles: Sequence[str] = ROLES) -> dict[str, psutil.Process]:
        """The running children by role (one of each)."""
        found: dict[str, psutil.Process] = {}
        for process in self._family(self.pid):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                words = process.cmdline()
                for role in roles:
                    if any(Path(word).name == role for word in words[:4]):
                        found[role] = process
        return found

    def kill(self, role: str) -> int:
        """kill -9 of that child, once it runs; its process id."""
        process = wait_until(lambda: self.processes().get(role), lambda: f"{role} runs\n{self.log_text()[-4000:]}")
        process.kill()
        return int(process.pid)

    def kill_supervisor(self) -> None:
        """kill -9 of the leader alone; raises TimeoutError when its children outlive it."""
        family = self._family(self.pid)
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._process = None

        def gone() -> bool:
            return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family)

        try:
            wait_until(gone, "the children of a killed `mozzart up` end", within=10)
        finally:
            for one in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()

    def peak_memory(self) -> dict[str, int]:
        """Bytes: the most that each child ever had resident (VmHWM)."""
        found = {}
        for role, process in self.processes().items():
            status = Path(f"/proc/{process.pid}/status").read_text()
            found[role] = int(status.split("VmHWM:")[1].split()[0]) * 1024
        return found

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def http(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, timeout: float = 60
    ) -> Answer:
        """One request with our token (or that one; "" for none). Raises OSError where nothing answers."""
        headers = {"Host": f"127.0.0.1:{self.api_port}", "Content-Type": "application/json"}
        if secret := self.token if token is None else token:
            headers["Authorization"] = f"Bearer {secret}"
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.api_port}{path}"
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return _answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.headers, error.read())

    def http_when_up(self, method: str, path: str) -> Answer:
        """The same, once the api listens."""
        wait_until(lambda: answers(self.api_port), lambda: f"the api listens\n{self.log_text()[-4000:]}", within=30)
        return self.http(method, path)

    def rows(self, query: str, *parameters: Any) -> list[sqlite3.Row]:
        """Read the database (SQLite) from outside; [] while it has no tables."""
        if not self.database.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            try:
                return connection.execute(query, parameters).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def execute(self, statement: str) -> None:
        """Change the database (SQLite) by hand."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection, connection:
            connection.execute(statement)

    def stored(self) -> int:
        """Messages that are rows and still on the server, as far as we know."""
        found = self.rows("SELECT count(*) AS n FROM mailbox_app_mailmessage WHERE expunged_at IS NULL")
        return int(found[0]["n"]) if found else 0

    def wait_stored(self, count: int, *, within: float = 30) -> None:
        """Until at least `count` rows are there."""

        def said() -> str:
            return f"{self.stored()} of {count} rows\n{self.log_text()[-4000:]}"

        wait_until(lambda: self.stored() >= count, said, within=within, every=0.05)

    def attachments(self) -> dict[int, list[SentFile]]:
        """By UID: the attachments of each row that is still on the server, as they are on disk, in order."""
        found: dict[int, list[SentFile]] = {}
        for row in self.rows(
            "SELECT m.uid, a.filename, a.size, a.sha256, a.file FROM mailbox_app_mailattachment a "
            "JOIN mailbox_app_mailmessage m ON m.id = a.message_id WHERE m.expunged_at IS NULL ORDER BY m.id, a.id"
        ):
            content = (self.media / row["file"]).read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            assert (row["size"], row["sha256"]) == (len(content), digest), f"{row['file']} differs from its row"
            found.setdefault(row["uid"], []).append(SentFile(row["filename"], len(content), digest))
        return found

    def check_complete(self, sent: Mapping[int, Mail]) -> None:
        """Exactly the messages `sent` (by UID) are rows, each once and unchanged; their files and no others exist."""
        query = "SELECT uid, sha256, subject FROM mailbox_app_mailmessage WHERE expunged_at IS NULL ORDER BY uid"
        rows = [(row["uid"], row["sha256"], row["subject"]) for row in self.rows(query)]
        assert rows == [(uid, mail.sha256, mail.subject) for uid, mail in sorted(sent.items())]
        assert self.attachments() == {uid: list(mail.files) for uid, mail in sent.items() if mail.files}
        named = {row["file"] for row in self.rows("SELECT file FROM mailbox_app_mailattachment")}
        assert self.files() == named

    def files(self) -> set[str]:
        """Everything under MEDIA_ROOT, relative to it."""
        return {str(path.relative_to(self.media)) for path in self.media.rglob("*") if path.is_file()}

    def wait_log(self, words: str, *, within: float = 30) -> None:
        """Until the log holds `words`."""
        wait_until(lambda: words in self.log_text(), f"the log says {words!r}", within=within, every=0.05)


def _answer(status: int, headers: Any, body: bytes) -> Answer:
    decoded = None
    with contextlib.suppress(ValueError):
        decoded = json.loads(body)
    text = body.decode(errors="replace")
    return Answer(status, {name.lower(): value for name, value in headers.items()}, decoded, text, body)


@pytest.fixture
def make_mozzart() -> Iterator[Callable[..., Mozzart]]:
    """`make_mozzart(NAME="value", …)`: an installation that is not started yet; stopped and removed after the test."""
    made: list[Mozzart] = []
    with tempfile.TemporaryDirectory(prefix="mz-", dir="/tmp", ignore_cleanup_errors=True) as home:

        def make(**environment: str) -> Mozzart:
            place = Path(home) / str(len(made))
            place.mkdir()
            made.append(Mozzart(place, environment))
            return made[-1]

        yield make
        for mozzart in made:
            mozzart.stop(within=20)
