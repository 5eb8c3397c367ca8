"""What a consumer counts; mailcore/metrics.py shows it. Nothing of a message is a label."""

from __future__ import annotations

import math
import shutil
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)

STORED: Final = Counter("mozzart_stored", "Messages committed, with their files on disk", ("kind",))
STORED_BYTES: Final = Counter("mozzart_stored_bytes", "RFC 5322 bytes of the messages committed", ("kind",))
PUSH_TO_STORED: Final = Histogram(
    "mozzart_push_to_stored_seconds", "From the server's hint to the commit, of new mail", buckets=_SECONDS
)
NOT_STORED: Final = Counter("mozzart_not_stored", "Deliveries that ended without a row", ("action",))
PRUNED: Final = Counter("mozzart_pruned", "Messages whose content was removed because of MESSAGES_MAX_AGE")
PRUNING_STOPPED: Final = Gauge(
    "mozzart_pruning_stopped_messages", "Messages that pruning leaves alone until somebody says `mozzart prune`"
)
FREE: Final = Gauge("mozzart_free_bytes", "Free space where attachments and data lie", ("place",))


def watch_space(places: dict[str, Path]) -> None:
    """Show from now on what is free there, by name."""
    for name, path in places.items():
        FREE.labels(name).set_function(partial(_free, path))


def _free(path: Path) -> float:
    try:
        return float(shutil.disk_usage(path).free)
    except OSError:
        return math.nan  # not there: storing says so itself
