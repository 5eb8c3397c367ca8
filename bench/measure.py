"""Processor time, memory and percentiles."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Usage:
    """`cpu` in seconds, `peak` resident bytes (VmHWM)."""

    cpu: float
    peak: int


def usage(process: psutil.Process) -> Usage:
    """Of one process so far, with the children that it has waited for."""
    times = process.cpu_times()
    status = Path(f"/proc/{process.pid}/status").read_text()
    return Usage(
        cpu=times.user + times.system + times.children_user + times.children_system,
        peak=int(status.split("VmHWM:")[1].split()[0]) * 1024,
    )


def tree_cpu(pid: int) -> float:
    """Processor seconds of a process, its living children and the dead ones that were waited for."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0–1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and max."""
    return {
        "p50": percentile(values, 0.5),
        "p95": percentile(values, 0.95),
        "p99": percentile(values, 0.99),
        "max": max(values),
    }
