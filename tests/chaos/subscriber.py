"""Somebody who listens to `mail.>`: a durable on each stream, with nats-py alone, through all that happens."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import nats
from nats.errors import TimeoutError as NatsTimeout
from nats.js.api import ConsumerConfig

_STREAMS: Final = ("MAIL", "MAIL_BACKFILL", "MAIL_EVENTS")
_DURABLE: Final = "chaos"
_ACK_WAIT: Final = 3.0  # seconds until it hears again what it had when NATS was killed


@dataclass
class Heard:
    """SHA-256 → kind (`new`, `backfill`, `copy`) → ids; and the ids of the rows that `stored` told of."""

    announced: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)

    def note(self, headers: Mapping[str, Any], data: bytes) -> None:
        """One event. nats-py hands headers over as lists, or as they came."""
        facts = {name.lower(): value[0] if isinstance(value, list) else value for name, value in headers.items()}
        kind = facts.get("ce-type", "").removeprefix("mozzart.mail.").removesuffix(".v1")
        if kind in {"new", "backfill", "copy"}:
            self.announced.setdefault(facts["ce-sha256"], {}).setdefault(kind, set()).add(facts["ce-id"])
        elif kind == "stored":
            self.told.add(json.loads(data)["row_id"])


@dataclass
class Subscriber:
    """`url` is the file in which `mozzart up` tells where its NATS server is."""

    url: Path
    _heard: Heard = field(default_factory=Heard)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _left: dict[str, int] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> Subscriber:
        for stream in _STREAMS:
            thread = threading.Thread(target=lambda name=stream: asyncio.run(self._listen(name)), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def heard(self) -> Heard:
        """Until now."""
        with self._lock:
            return deepcopy(self._heard)

    @property
    def drained(self) -> bool:
        """Whether nothing was left of either stream when it looked last."""
        return all(self._left.get(stream) == 0 for stream in _STREAMS)

    async def _listen(self, stream: str) -> None:
        while not self._stop.is_set():
            try:
                await self._life(stream)
            except (Exception, asyncio.CancelledError):  # noqa: BLE001 - NATS was killed under us: once more
                self._left.pop(stream, None)
                await asyncio.sleep(0.3)

    async def _life(self, stream: str) -> None:
        client = await nats.connect(
            self.url.read_text().strip(), allow_reconnect=False, connect_timeout=2, error_cb=_nobody_asked
        )
        try:
            pull = await client.jetstream(timeout=3).pull_subscribe(
                "mail.>", durable=_DURABLE, stream=stream, config=ConsumerConfig(ack_wait=_ACK_WAIT)
            )
            while not self._stop.is_set():
                with suppress(NatsTimeout):
                    for message in await pull.fetch(200, timeout=0.5):
                        with self._lock:
                            self._heard.note(message.headers or {}, message.data)
                        await message.ack()
                info = await pull.consumer_info()
                self._left[stream] = (info.num_pending or 0) + (info.num_ack_pending or 0)
        finally:
            with suppress(Exception):
                await asyncio.wait_for(client.close(), 2)


async def _nobody_asked(_: Exception) -> None:
    """What goes wrong ends the fetch that is under way."""
