"""What was given up: the stream WEBHOOK_DEAD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

STREAM: Final = "WEBHOOK_DEAD"
PREFIX: Final = "webhook-dead"
ERROR: Final = "mozzart-error"
ATTEMPTS: Final = "mozzart-deliveries"
CONFIG: Final[Mapping[str, Any]] = {
    "name": STREAM,
    "subjects": [f"{PREFIX}.>"],
    "retention": "limits",
    "storage": "file",
    "discard": "old",
    "max_age": 30 * 86_400 * 10**9,
    "max_bytes": 64 << 20,
}


def subject(of_event: str) -> str:
    """`mail.default.INBOX.stored` → `webhook-dead.default.INBOX.stored`."""
    return f"{PREFIX}.{of_event.partition('.')[2]}"


def headers(of_event: Mapping[str, str], error: str, attempts: int) -> dict[str, str]:
    """Those of the event, with what happened."""
    out = {name: value for name, value in of_event.items() if not name.startswith("Nats-")}
    out["Nats-Msg-Id"] = f"{of_event.get('ce-id', '')}/webhook"
    out[ERROR] = quote(error, safe=" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~")[:1_000]
    out[ATTEMPTS] = str(attempts)
    return out
