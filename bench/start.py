"""How long `mozzart up` takes until it works, what that costs, and how soon a killed child is back.

`python -m bench.start [COUNT]`: so many starts (5) on an empty data directory; the middle one of each figure. Ready
means that /readyz says 200 and that the syncer has said `syncing`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.support.processes import Mozzart
from tests.support.programs import wait_until


def once(home: Path) -> dict[str, float]:
    """Seconds to ready; seconds of processors by then; megabytes (PSS) of all; seconds until a killed api answers."""
    mozzart = Mozzart(home, executed=True)
    began = time.monotonic()
    mozzart.start()
    try:
        mozzart.wait_ready()
        mozzart.wait_log("syncing")
        ready = time.monotonic() - began
        leader = psutil.Process(mozzart.pid)
        family = [leader, *leader.children(recursive=True)]
        memory = sum(one.memory_full_info().pss for one in family) / 1e6
        spent = [one.cpu_times() for one in family]
        # Who has ended is in the times of the parent that waited for it.
        processor = sum(one.user + one.system for one in spent) + spent[0].children_user + spent[0].children_system
        before = mozzart.processes()["api"]
        killed = time.monotonic()
        mozzart.kill("api")
        wait_until(lambda: mozzart.processes().get("api") not in (None, before), "a new api")
        mozzart.wait_ready()
        back = time.monotonic() - killed
    finally:
        mozzart.stop()
    return {"ready_s": ready, "processor_s": processor, "memory_mb": memory, "api_back_s": back}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    runs = []
    for _ in range(count):
        with tempfile.TemporaryDirectory(prefix="mz-", dir="/tmp") as home:
            runs.append(once(Path(home)))
            print({name: round(value, 2) for name, value in runs[-1].items()}, flush=True)
    print({name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]})


if __name__ == "__main__":
    main()
