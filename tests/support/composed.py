"""The NATS server of docker-compose.yml without its container: that configuration, and secrets as it hands them out."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.nats import nats_server_program
from tests.support.processes import MOZZART
from tests.support.programs import answers, bound_to_us, free_port, wait_until

ROOT = Path(__file__).parents[2]
_STORE = "store_dir: /nats"


@dataclass
class Composed:
    """`home`/run/secrets-of/ROLE is what the service `secrets` gives to that role. Call `start()`, then `close()`."""

    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    home: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mz-composed-", dir="/tmp")))
    _process: subprocess.Popen[bytes] | None = None

    @property
    def secrets(self) -> Path:
        return self.home / "secrets"

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    def hand_out(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What the service `secrets` does. The host `nats` of the addresses becomes this server."""
        for role in ("keys", "nats", "syncer", "consumer", "api", "webhook", "tools", "postgres"):
            (self.secrets / role).mkdir(parents=True, exist_ok=True)
        ran = subprocess.run(
            [str(MOZZART), "hand-out-secrets", "--directory", str(self.secrets), *arguments],
            cwd=self.home,
            env={"PATH": os.environ["PATH"], **self.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for path in self.secrets.glob("*/nats_url"):
            path.write_text(path.read_text().replace("@nats:4222", f"@127.0.0.1:{self.port}"))
        return ran

    def url(self, role: str) -> str:
        """NATS_URL of that role; of `downstream` as a subscriber gets it."""
        if role == "downstream":
            text = (self.secrets / "tools" / "downstream_url").read_text()
            return text.replace("@127.0.0.1:4222", f"@127.0.0.1:{self.port}")
        return (self.secrets / role / "nats_url").read_text()

    def start(self) -> Composed:
        """Raises AssertionError with the words of the program that failed."""
        ran = self.hand_out()
        assert ran.returncode == 0, ran.stderr
        (self.home / "etc" / "nats").mkdir(parents=True)
        (self.home / "run").mkdir()
        text = (ROOT / "docker" / "nats-server.conf").read_text()
        assert text.count(_STORE) == 1
        config = self.home / "etc" / "nats" / "nats-server.conf"
        config.write_text(text.replace(_STORE, f'store_dir: "{self.home / "store"}"'))
        (self.home / "run" / "secrets").symlink_to(self.secrets / "nats")
        # The ports that a container has for itself.
        ports = ["-a", "127.0.0.1", "-p", str(self.port), "-m", str(free_port())]
        command = [nats_server_program(), "-c", str(config), *ports]
        with (self.home / "log").open("wb") as log:
            process = subprocess.Popen([*bound_to_us(), *command], stdout=log, stderr=log, start_new_session=True)
        self._process = process

        def ready() -> bool:
            assert process.poll() is None, self.log
            return answers(self.port)

        wait_until(ready, "nats-server takes connections", within=20)
        return self

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._process.kill()
            self._process.wait(10)
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture
def composed() -> Iterator[Composed]:
    server = Composed()
    try:
        yield server.start()
    finally:
        server.close()
