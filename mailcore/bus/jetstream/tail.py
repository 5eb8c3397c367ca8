"""Events as they come, of one or several streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from mailcore.bus.core.connection import end_tasks
from mailcore.bus.jetstream.api import JetStream
from mailcore.bus.jetstream.delivery import Delivery
from mailcore.bus.jetstream.position import stream_position
from mailcore.bus.jetstream.reader import Reader, Since
from mailcore.bus.layout.streams import MAIL_EVENTS
from mailcore.bus.layout.subjects import filters_by_stream
from mailcore.errors import BusError, Retry

_AHEAD: Final = 64  # deliveries of a stream that wait for whoever reads
_PATIENCE: Final = 0.5  # seconds for a stream that owes some of its past; its filter may let nothing through
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Source:
    """What one stream has given. `behind`: more of its past is to come."""

    behind: bool
    queue: asyncio.Queue[Delivery | BusError] = field(default_factory=lambda: asyncio.Queue(_AHEAD))
    head: Delivery | None = None

    def look(self) -> None:
        """Raises the BusError that ended it."""
        if self.head is None and not self.queue.empty():
            item = self.queue.get_nowait()
            if isinstance(item, BusError):
                raise item
            self.head = item

    def take(self) -> Delivery:
        head, self.head = self.head, None
        assert head is not None
        self.behind = bool(head.pending)
        return head


async def _in_time(sources: Sequence[_Source], arrived: asyncio.Event) -> AsyncGenerator[Delivery, None]:
    """What all have given, the earliest first. One that is behind is waited for, but not for long."""
    while True:
        for source in sources:
            source.look()
        ready = [source for source in sources if source.head is not None]
        late = [source for source in sources if source.head is None and source.behind]
        if ready and not late:
            yield min(ready, key=lambda source: source.head.published_at if source.head else _NEVER).take()
            continue
        arrived.clear()
        try:
            async with asyncio.timeout(_PATIENCE if ready else None):
                await arrived.wait()
        except TimeoutError:
            for source in late:
                source.behind = False


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
        arrived = asyncio.Event()
        sources = {stream: _Source(behind=since is not None) for stream in filters}

        async def feed(stream: str, patterns: list[str]) -> None:
            queue = sources[stream].queue
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
                        arrived.set()
            except BusError as error:
                await queue.put(error)
                arrived.set()

        tasks = [asyncio.ensure_future(feed(stream, patterns)) for stream, patterns in filters.items()]
        self._tasks.update(tasks)
        try:
            async with aclosing(_in_time(list(sources.values()), arrived)) as merged:
                async for delivery in merged:
                    yield delivery
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
