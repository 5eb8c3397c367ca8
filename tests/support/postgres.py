"""A private PostgreSQL cluster for the test session, a fresh database for each test."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.programs import bound_to_us, find_program, free_port, need_program, wait_until

_ACCOUNT = "postgres"  # the Debian package makes this user; the server refuses root
_numbers = itertools.count(1)


@dataclass
class Postgres:
    """Call `start()` before use, `close()` after it. `options` are settings of the server."""

    port: int = field(default_factory=free_port)
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mz-postgres-", dir="/tmp")))
    options: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> Postgres:
        """Start (again) on the same port with the same data."""
        data = self.home / "data"
        if not data.exists():
            if os.geteuid() == 0:
                shutil.chown(self.home, _ACCOUNT, _ACCOUNT)
            initdb = find_program("initdb", "postgresql")
            self._run(initdb, "-D", str(data), "-U", "mozzart", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        server = [find_program("postgres", "postgresql"), "-D", str(data), "-p", str(self.port), "-k", str(self.home)]
        options = {"listen_addresses": "127.0.0.1", "max_connections": "100", "shared_buffers": "32MB"}
        options["fsync"] = "off"  # no test cuts the power, and each database of its own costs a tenth of the time
        options |= self.options
        server += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [*bound_to_us(_ACCOUNT), *server],
            cwd=self.home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._ready, "PostgreSQL accepts connections", within=30)
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _run(self, *command: str) -> None:
        found = subprocess.run(
            [*bound_to_us(_ACCOUNT), *command], cwd=self.home, capture_output=True, text=True, check=False
        )
        if found.returncode:
            raise RuntimeError(f"{Path(command[0]).name}: {found.stderr}{found.stdout}")

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended with {self._process.returncode}")
        command = [find_program("pg_isready", "postgresql-client"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def create_database(self, like: str = "template1") -> str:
        """The `postgresql+asyncpg://` URL of a new database, empty or a copy of that one."""
        name = f"mozzart_{os.getpid()}_{next(_numbers)}"
        self._run(
            find_program("createdb", "postgresql-client"),
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-U",
            "mozzart",
            "--template",
            like,
            name,
        )
        return f"postgresql+asyncpg://mozzart@127.0.0.1:{self.port}/{name}"

    def configure(self, **options: str) -> None:
        """Settings of the whole server, for sessions that are open, too."""
        sql = [f"ALTER SYSTEM SET {name} = '{value}'" for name, value in options.items()]
        words = [word for statement in (*sql, "SELECT pg_reload_conf()") for word in ("-c", statement)]
        psql = find_program("psql", "postgresql-client")
        self._run(psql, "-qX", "-h", "127.0.0.1", "-p", str(self.port), "-U", "mozzart", *words, "postgres")

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End the server at once (SIGINT, a fast shutdown: the data stays whole)."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None

    def close(self) -> None:
        """End it and remove its data."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One private cluster for the whole session. A test that stops it must start it again."""
    need_program("initdb", "postgresql")
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """A fresh, empty database."""
    return postgres.create_database()
