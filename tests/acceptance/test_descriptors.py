"""An api without free file descriptors: quiet in the log, and at work again as soon as there are some."""

from __future__ import annotations

import contextlib
import http.client
import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.processes import Mozzart
from tests.support.programs import wait_until

IDLE = 100
SECONDS = 3  # in which nothing is to happen again and again


def alive(mozzart: Mozzart, timeout: float) -> bool:
    with contextlib.suppress(OSError):
        return mozzart.http("GET", "/healthz", timeout=timeout).status == 200
    return False


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_a_crowd_that_takes_all_descriptors_is_told_once_and_the_api_goes_on_when_it_leaves(
    make_mozzart: Callable[..., Mozzart],
) -> None:
    mozzart = make_mozzart(NATS_URL="nats://127.0.0.1:1")
    mozzart.start("api")
    assert mozzart.http_when_up("GET", "/healthz").status == 200
    kept = http.client.HTTPConnection("127.0.0.1", mozzart.api_port, timeout=10)
    kept.request("GET", "/healthz")
    assert kept.getresponse().read()
    _, hard = resource.prlimit(mozzart.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(mozzart.pid, resource.RLIMIT_NOFILE, (64, hard))
    before, spent = mozzart.log_text(), processor_seconds(mozzart.pid)

    with contextlib.closing(kept), contextlib.ExitStack() as crowd:
        for _ in range(IDLE):
            crowd.enter_context(socket.create_connection(("127.0.0.1", mozzart.api_port), timeout=5))
        mozzart.wait_log("no file descriptor is free")
        time.sleep(SECONDS)
        assert not alive(mozzart, timeout=0.5), "else this is no crowd"
        kept.request("GET", "/healthz")
        assert kept.getresponse().read(), "who is connected is served"
        told = mozzart.log_text().removeprefix(before)
        lines = [line for line in told.splitlines() if "nats not reached" not in line]
        assert len(lines) == 1, told[:4000]
        assert "raise the limit" in lines[0]
        assert processor_seconds(mozzart.pid) - spent < SECONDS / 3

    wait_until(lambda: alive(mozzart, timeout=2), "it accepts again", within=10)
