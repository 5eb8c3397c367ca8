"""What a webhook's receiver did not take (the stream WEBHOOK_DEAD): to be listed, looked at and sent once more."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any, Final

import structlog
from pydantic import ValidationError

from mailcore.bus import Bus
from mailcore.bus.core.headers import decode_headers
from mailcore.errors import BusError, EventError, Retry, Scope
from mailcore.events.undelivered import PREFIX, REDELIVER, STREAM, Redeliver, Redelivered, Undelivered

log = structlog.get_logger(__name__)

# The event stays where it was when it could not be delivered in all that time.
CONFIG: Final[Mapping[str, Any]] = {
    "name": STREAM,
    "subjects": [f"{PREFIX}.>"],
    "retention": "limits",
    "storage": "file",
    "discard": "old",
    "max_age": 30 * 86_400 * 10**9,
    "max_bytes": 64 << 20,
}
# The receiver has 15 seconds, and others may wait before this one.
ANSWER_WITHIN: Final = 25.0
_CALL_WITHIN: Final = 5.0
_STREAM_NOT_FOUND: Final = 10059
_NO_MESSAGE: Final = 10037


class UndeliveredMissing(BusError):
    """There is no such entry: it expired, or it was delivered."""

    scope = Scope.MESSAGE
    retry = Retry.NEVER


class WebhookSilent(BusError):
    """No webhook process answers, or it did not in time."""


async def count(bus: Bus) -> int:
    """How many there are; 0 where no webhook ever ran. Raises BusError."""
    answer = await _call(bus, f"STREAM.INFO.{STREAM}", None)
    return int(answer["state"]["messages"]) if answer is not None else 0


async def entries(bus: Bus, after: int = 0) -> AsyncGenerator[Undelivered, None]:
    """Those behind the sequence `after`, the oldest first. Raises BusError."""
    seq = after + 1
    while True:
        answer = await _call(bus, f"STREAM.MSG.GET.{STREAM}", {"seq": seq, "next_by_subj": f"{PREFIX}.>"})
        if answer is None:
            return
        seq = int(answer["message"]["seq"]) + 1
        try:
            yield _decode(answer["message"])
        except EventError as error:
            log.warning("undelivered-unreadable", seq=seq - 1, error=str(error))


async def entry(bus: Bus, seq: int) -> Undelivered:
    """Raises UndeliveredMissing, BusError."""
    answer = await _call(bus, f"STREAM.MSG.GET.{STREAM}", {"seq": seq}) if seq > 0 else None
    if answer is None:
        raise UndeliveredMissing(f"there is no undelivered event {seq}: it expired, or it was delivered")
    try:
        return _decode(answer["message"])
    except EventError as error:
        raise UndeliveredMissing(f"the undelivered event {seq} is unreadable: {error}") from None


async def remove(bus: Bus, seq: int) -> None:
    """Also one that is gone already. Raises BusError."""
    await _call(bus, f"STREAM.MSG.DELETE.{STREAM}", {"seq": seq, "no_erase": True})


async def redeliver(bus: Bus, seq: int, within: float = ANSWER_WITHIN) -> Redelivered:
    """Have the webhook process send it, and hear what the receiver said. Raises UndeliveredMissing,
    WebhookSilent, BusError."""
    await entry(bus, seq)
    try:
        answer = await bus.request(REDELIVER, Redeliver(seq=seq).model_dump_json().encode(), within)
    except BusError as error:
        raise WebhookSilent(
            f"the webhook process does not answer ({error}); it runs where WEBHOOK_URL is set, by `mozzart up` or "
            "`mozzart webhook`"
        ) from None
    try:
        told = Redelivered.model_validate_json(answer)
    except ValidationError:
        raise WebhookSilent("the webhook process answered what nobody understands: is it another version?") from None
    if told.status == "missing":
        raise UndeliveredMissing(told.error)
    return told


async def _call(bus: Bus, subject: str, request: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The answer of the JetStream API; None when there is no such stream or message."""
    payload = json.dumps(request).encode() if request is not None else b""
    answer: dict[str, Any] = json.loads(await bus.request(f"$JS.API.{subject}", payload, _CALL_WITHIN))
    error = answer.get("error")
    if error is None:
        return answer
    if error.get("err_code") in (_STREAM_NOT_FOUND, _NO_MESSAGE) or error.get("code") == 404:
        return None
    raise BusError(f"JetStream refused {subject}: {error.get('description', error)}")


def _decode(message: Mapping[str, Any]) -> Undelivered:
    try:
        return Undelivered.decode(
            int(message["seq"]),
            message["subject"],
            decode_headers(base64.b64decode(message.get("hdrs", ""))),
            base64.b64decode(message.get("data", "")),
            datetime.fromisoformat(message["time"]),
        )
    except (KeyError, ValueError, binascii.Error) as error:
        raise EventError(f"not an entry of {STREAM}: {error}") from None
