"""What the api needs from others: NATS and the database. It is up before they are and outlives their outages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final, TypeVar

import structlog
from aiohttp import web

from api.guard.audit import Audit
from mailcore import metrics
from mailcore.bus import Bus
from mailcore.errors import BusError, MozzartError, StoreError
from mailcore.html.sanitizer import Sanitizer
from mailcore.oauth.tokens import Tokens
from mailcore.settings import Settings
from mailcore.store import Store
from mailcore.store.patience import within

T = TypeVar("T")
D = TypeVar("D")
log = structlog.get_logger(__name__)

_PATIENCE: Final = 3.0
_STORE_PATIENCE: Final = 10.0  # of a request (api/http/patience.py)
_LONGEST_PAUSE: Final = 5.0
_LOOK_EVERY: Final = 2.0
_GRACE: Final = 10.0


class Dependencies:
    """`settings` and `store` are there from the start; `bus` raises BusError until NATS was reached once."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.audit = Audit(store, timedelta(days=settings.audit_max_age))
        self.sanitizer = Sanitizer()
        self.tokens = Tokens(store, settings)
        self._bus: Bus | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.stalled: dict[str, str] = {}  # by process, for longer than a moment
        self.asks: tuple[str, ...] = ()  # what waits for a person's order

    @classmethod
    async def open(cls, settings: Settings) -> Dependencies:
        """Raises SettingsError for an unusable DATABASE_URL."""
        dependencies = cls(settings, await Store.open(settings.database_url, _STORE_PATIENCE))
        dependencies._connecting = asyncio.create_task(dependencies._connect())
        return dependencies

    async def close(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            with suppress(asyncio.CancelledError):
                await self._connecting
        if self._bus is not None:
            await self._bus.close()
        await self.sanitizer.close()
        await self.audit.close()
        await self.tokens.ended()
        await self.store.close()

    @property
    def bus(self) -> Bus:
        if self._bus is None:
            raise BusError("NATS was not reached yet; the api keeps trying.")
        return self._bus

    async def told(self, asked: Callable[[Bus], Awaitable[T]], otherwise: D) -> T | D:
        """What NATS answers soon; `otherwise` when it does not: a page shows the rest, and `faults` say why."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return await asked(self.bus)
        except (BusError, TimeoutError):
            return otherwise

    async def faults(self) -> dict[str, str]:
        """What does not work now, in words, by dependency; {} when all is well."""
        found = {}
        try:
            if not self.bus.connected:
                found["nats"] = f"not connected to {self.bus.server}"
        except BusError as error:
            found["nats"] = str(error)
        try:
            with within(min(_PATIENCE, self.store.patience or _PATIENCE)):
                await self.store.check()
                await self.store.message(0)  # the tables of mail may be locked while the one of revisions is not
        except StoreError as error:
            found["database"] = str(error)
        return found | {name: words for name, words in self.stalled.items() if name not in found}

    async def _watch(self) -> None:
        """What keeps mail from being stored, when it lasts: a process that is restarted is no fault."""
        loop = asyncio.get_running_loop()
        since: dict[str, float] = {}
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            try:
                told = await metrics.waiting(self.bus)
            except BusError:
                continue  # a fault of its own
            found, self.asks = told.faults, told.asks
            since = {name: since.get(name, loop.time()) for name in found}
            self.stalled = {name: words for name, words in found.items() if loop.time() - since[name] >= _GRACE}

    async def _connect(self) -> None:
        pause = 0.2
        while self._bus is None:
            try:
                bus = await Bus.connect(self.settings.nats_url, name="api")
            except MozzartError as error:
                log.warning("nats not reached", error=str(error), again_in=f"{pause:.1f}s")
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                await metrics.answer(bus, "api")
                self._bus = bus
        await self._watch()


DEPENDENCIES: Final = web.AppKey("dependencies", Dependencies)
