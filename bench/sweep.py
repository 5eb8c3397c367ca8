"""What it costs to find out that nothing changed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import rivals
from bench.rawimap import RawImap
from tests.support.dovecot import Dovecot
from tests.support.processes import Mozzart
from tests.support.proxy import Proxy


@dataclass(frozen=True)
class Look:
    """One look that finds no change: seconds, and bytes over the wire in both directions."""

    seconds: float
    octets: float


def measure(dovecot: Dovecot, mozzart: Mozzart, scratch: Path) -> dict[str, Look]:
    """`mozzart` has the whole mailbox and is stopped; `scratch/mbsync` is a finished copy of it."""
    found: dict[str, Look] = {}
    proxy = Proxy(dovecot.port)
    try:
        raw = RawImap(dovecot, proxy.port)
        found["raw STATUS"] = _look(proxy, lambda: raw.command("STATUS INBOX (UIDNEXT MESSAGES UIDVALIDITY)"), 20)
        found["raw UID SEARCH ALL"] = _look(proxy, lambda: raw.command("UID SEARCH ALL"), 5)
        raw.close()
        found["mbsync"] = _look(proxy, lambda: rivals.mbsync(dovecot, scratch / "mbsync", proxy.port), 3)

        mozzart.environment |= {"SYNC_INTERVAL": "3600", "IMAP_PORT": str(proxy.port)}
        mozzart.start().wait_ready().wait_live()
        manual = "/api/mailbox/sync/?wait=60"
        assert mozzart.http("POST", manual).json["status"] == "ok"
        found["mozzart, on demand"] = _look(proxy, lambda: _sync(mozzart, manual), 5)
        mozzart.stop()

        mozzart.environment["SYNC_INTERVAL"] = "1"
        mozzart.start().wait_ready().wait_live()
        assert mozzart.http("POST", manual).json["status"] == "ok"
        before, seconds = proxy.octets, 10
        time.sleep(seconds)  # the thing measured: what an idle program sends in ten intervals of a second
        found["mozzart, each interval"] = Look(float("nan"), (proxy.octets - before) / seconds)
        mozzart.stop()
    finally:
        mozzart.stop()
        proxy.close()
    return found


def _sync(mozzart: Mozzart, path: str) -> None:
    run = mozzart.http("POST", path).json
    assert (run["status"], run["found"]) == ("ok", 0), run


def _look(proxy: Proxy, act: Callable[[], object], times: int) -> Look:
    before, seconds = proxy.octets, []
    for _ in range(times):
        began = time.monotonic()
        act()
        seconds.append(time.monotonic() - began)
    return Look(statistics.median(seconds), (proxy.octets - before) / times)
