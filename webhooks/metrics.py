"""What the webhook process counts; mailcore/metrics.py shows it. Nothing of an event is a label."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

ATTEMPTS: Final = Counter("mozzart_webhook_attempts", "Attempts to deliver an event, by how they ended", ("outcome",))
SECONDS: Final = Histogram(
    "mozzart_webhook_seconds", "How long the receiver took to answer", buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15)
)
