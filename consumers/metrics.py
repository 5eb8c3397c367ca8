"""What a consumer counts; mailcore/metrics.py shows it. Nothing of a message is a label."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

_SECONDS: Final = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)

STORED: Final = Counter("mozzart_stored", "Messages committed, with their files on disk", ("kind",))
STORED_BYTES: Final = Counter("mozzart_stored_bytes", "RFC 5322 bytes of the messages committed", ("kind",))
PUSH_TO_STORED: Final = Histogram(
    "mozzart_push_to_stored_seconds", "From the server's hint to the commit, of new mail", buckets=_SECONDS
)
NOT_STORED: Final = Counter("mozzart_not_stored", "Deliveries that ended without a row", ("action",))
