"""Events as they come, of one or several streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Final

from mailcore.bus.core.connection import end_tasks
from mailcore.bus.jetstream.api import JetStream
from mailcore.bus.jetstream.delivery import Delivery
from mailcore.bus.jetstream.position import stream_position
from mailcore.bus.jetstream.reader import Reader, Since
from mailcore.bus.layout.streams import MAIL_EVENTS
from mailcore.bus.layout.subjects import filters_by_stream
from mailcore.errors import BusError, Retry

_AHEAD: Final = 64  # deliveries that wait for whoever reads


class Tails:
    """Those of one process."""

    def __init__(self, jetstream: JetStream, reader: Reader) -> None:
        self._jetstream = jetstream
        self._reader = reader
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        await end_tasks(self._tasks)

    async def read(
        self, subject_filter: str, since: Since | Mapping[str, int | datetime], bodies: bool
    ) -> AsyncGenerator[Delivery, None]:
        """What `Bus.tail` says."""
        filters = filters_by_stream(subject_filter)
        if not filters:
            raise BusError(f"no stream of ours has subjects like {subject_filter!r}", retry=Retry.NEVER)
        queue: asyncio.Queue[Delivery | BusError] = asyncio.Queue(_AHEAD)

        async def feed(stream: str, patterns: list[str]) -> None:
            try:
                after, moment = await self._start(stream, since)
                read = self._reader.read(
                    stream,
                    patterns,
                    after=after,
                    since=moment,
                    headers_only=stream != MAIL_EVENTS and not bodies,
                    follow=True,
                )
                async with aclosing(read):
                    async for delivery in read:
                        await queue.put(delivery)
            except BusError as error:
                await queue.put(error)

        tasks = [asyncio.ensure_future(feed(stream, patterns)) for stream, patterns in filters.items()]
        self._tasks.update(tasks)
        try:
            while True:
                item = await queue.get()
                if isinstance(item, BusError):
                    raise item
                yield item
        finally:
            self._tasks.difference_update(tasks)
            await end_tasks(tasks)

    async def _start(self, stream: str, since: Since | Mapping[str, int | datetime]) -> tuple[int, datetime | None]:
        """The sequence after which, or the time from which, to begin with `stream`."""
        if isinstance(since, Mapping):
            start = since.get(stream)
            if isinstance(start, int):
                return await self._reader.resume_after(stream, start), None
            since = start
        if isinstance(since, datetime):
            return 0, since
        if since == "all":
            return 0, None
        last = (await stream_position(self._jetstream, stream)).last_seq
        return last if since is None else max(last - since, 0), None
