"""JetStream's administration by JSON requests, and the making of what is missing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

import structlog

from mailcore.bus.core.connection import NO_RESPONDERS, Connection, end_tasks
from mailcore.bus.layout.durables import DURABLES
from mailcore.bus.layout.streams import Limits, room, streams
from mailcore.errors import BusError, Retry
from mailcore.write_error import NOWHERE, failure

log = structlog.get_logger(__name__)

_ATTEMPT: Final = 5.0
_TOTAL: Final = 20.0
_LOOK: Final = 3.0
_SMALLEST: Final = 16 << 20  # bytes; a stream that may not even have this cannot do its work

# err_code of the JetStream API (nats-server, server/errors.json)
STREAM_NOT_FOUND: Final = 10059
CONSUMER_NOT_FOUND: Final = 10014
NO_MESSAGE: Final = 10037
_STREAM_NAME_IN_USE: Final = 10058
_INVALID_CONFIG: Final = 10052
_FOR_LIFE: Final = "persist_mode"  # of a stream: no update may change it
_NO_SPACE: Final = (10023, 10028, 10047)
_NOT_ENABLED: Final = (10039, 10076)


class ApiError(BusError):
    """The JetStream API said no; `err_code` is its number, `said` its own words."""

    def __init__(self, message: str, *, err_code: int, code: int, said: str) -> None:
        super().__init__(message, retry=Retry.LATER)
        self.err_code = err_code
        self.code = code
        self.said = said


class JetStream:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._limits: Limits | None = None
        self._restoring: asyncio.Task[None] | None = None

    async def call(
        self, subject: str, request: dict[str, Any] | None = None, *, total: float = _TOTAL
    ) -> dict[str, Any]:
        """One API request, repeated while the connection is down or JetStream starts, for `total` seconds.

        Raises ApiError when the server refused it, BusError when it did not answer.
        """
        payload = json.dumps(request).encode() if request is not None else b""
        loop = asyncio.get_running_loop()
        end = loop.time() + total
        why = "the connection is down"
        pause = 0.05
        while (left := end - loop.time()) > 0:
            try:
                reply = await self._connection.ask(f"$JS.API.{subject}", payload, min(_ATTEMPT, left))
            except TimeoutError:
                why = "no answer" if self._connection.connected else "the connection is down"
                continue
            if reply is None:
                continue
            if reply.status != NO_RESPONDERS:
                answer: dict[str, Any] = json.loads(reply.data)
                error = answer.get("error")
                if error is None:
                    return answer
                if error.get("code") != NO_RESPONDERS or error.get("err_code") in _NOT_ENABLED:
                    said = str(error.get("description", error))
                    raise ApiError(
                        f"JetStream refused {subject}: {said}",
                        err_code=int(error.get("err_code", 0)),
                        code=int(error.get("code", 0)),
                        said=said,
                    )
                why = str(error.get("description", "JetStream is not ready"))
            else:
                why = "JetStream is not enabled, or not for this user"
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)
        raise BusError(f"JetStream at {self._connection.address} did not do {subject} within {total:g} s: {why}")

    async def ensure(self, limits: Limits) -> None:
        """Make or update every stream, bucket and durable of the layout."""
        self._limits = limits
        await self._make(limits, log.info)

    async def _make(self, limits: Limits, tell: Callable[..., object]) -> None:
        while True:
            try:
                for config in streams(limits).values():
                    await self._ensure_stream(config, tell)
                break
            except ApiError as error:
                if error.err_code not in _NO_SPACE:
                    raise
                if limits.max_bytes // 2 < _SMALLEST:
                    raise BusError(
                        f"NATS has not even {room(limits) >> 20} MiB for our streams ({error.said}): make room on the "
                        "disk of its store (DATA_DIR/nats with `mozzart up`), or raise its max_file_store"
                    ) from error
                limits = limits.halved()
                log.warning("streams-smaller", max_bytes=limits.max_bytes, error=str(error))
        for name, (stream, config) in DURABLES.items():
            await self._ensure_consumer(name, stream, config, tell)

    async def restore(self) -> None:
        """What is gone is made again, as `ensure` was told; several callers share one run.

        Raises BusError when this process never called `ensure`.
        """
        if self._limits is None:
            raise BusError(
                "a stream or consumer of ours is missing in NATS: start the syncer or a consumer, which make them"
            )
        if self._restoring is None or self._restoring.done():
            self._restoring = asyncio.ensure_future(self._make(self._limits, log.warning))
            self._restoring.add_done_callback(_look)
        await asyncio.shield(self._restoring)

    async def write_errors(self) -> dict[str, str]:
        """By stream of ours whose store is in error: what the system said. Raises BusError when that is not told."""
        found = {}
        for stream in streams(Limits()):
            try:
                await self.call(f"STREAM.MSG.DELETE.{stream}", NOWHERE, total=_LOOK)
            except ApiError as error:
                if said := failure(error.said):
                    found[stream] = said
        return found

    async def close(self) -> None:
        if self._restoring is not None:
            await end_tasks([self._restoring])

    async def _ensure_stream(self, wanted: dict[str, Any], tell: Callable[..., object]) -> None:
        name = wanted["name"]
        try:
            found = await self.call(f"STREAM.INFO.{name}")
        except ApiError as error:
            if error.err_code != STREAM_NOT_FOUND:
                raise
            await self._create_stream(wanted, tell)
            return
        config = found["config"]
        merged = {**config, **_without(_FOR_LIFE, wanted)}
        if merged == config:
            return
        await self.call(f"STREAM.UPDATE.{name}", merged)
        log.info("stream-updated", stream=name)

    async def _create_stream(self, wanted: dict[str, Any], tell: Callable[..., object]) -> None:
        try:
            await self.call(f"STREAM.CREATE.{wanted['name']}", wanted)
        except ApiError as error:
            if error.err_code == _INVALID_CONFIG and _FOR_LIFE in wanted:  # this server cannot
                await self._create_stream(_without(_FOR_LIFE, wanted), tell)
            elif error.err_code != _STREAM_NAME_IN_USE:  # else another process was faster, with other limits
                raise
        else:
            tell("stream-created", stream=wanted["name"], max_bytes=wanted["max_bytes"])

    async def _ensure_consumer(
        self, name: str, stream: str, config: dict[str, Any], tell: Callable[..., object]
    ) -> None:
        try:
            found = await self.call(f"CONSUMER.INFO.{stream}.{name}")
        except ApiError as error:
            if error.err_code != CONSUMER_NOT_FOUND:
                raise
            tell("consumer-created", stream=stream, consumer=name)
        else:
            if {**found["config"], **config} == found["config"]:
                return
            log.info("consumer-updated", stream=stream, consumer=name)
        await self.call(f"CONSUMER.DURABLE.CREATE.{stream}.{name}", {"stream_name": stream, "config": config})


def _without(name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != name}


def _look(task: asyncio.Task[None]) -> None:
    """A failure that every waiter has left must not reach the loop's exception handler."""
    if not task.cancelled():
        task.exception()
