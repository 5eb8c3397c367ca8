"""The tokens that people made (mailcore/api_token.py): which one a request bears, and that it was used.

Each request looks its token up, so that one that is revoked, wherever that is done, is refused from then on. While the
database does not answer, what it said within the last hour holds: whoever watches an outage keeps their metrics.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import structlog
from aiohttp import web

from mailcore.api_token import LAST_USE_EVERY, ApiToken, Presented, standing
from mailcore.errors import StoreError
from mailcore.store import Store
from mailcore.store.patience import within

log = structlog.get_logger(__name__)

_WITHIN: Final = 1.0
_HOLDS: Final = timedelta(hours=1)
_LOOK_EVERY: Final = timedelta(seconds=5)
Refusal = Literal["unknown", "expired", "revoked"]


@dataclass(frozen=True)
class _Look:
    token: ApiToken
    at: datetime


class Tokens:
    """`now` is the time of day."""

    def __init__(self, store: Store, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._now = now
        self._seen: dict[str, _Look] = {}  # what the database said last, by key
        self._used: dict[str, datetime] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    def knows(self, presented: Presented) -> bool:
        """Whether this very token was looked up here before, so that it is no guess."""
        look = self._seen.get(presented.key)
        return look is not None and hmac.compare_digest(look.token.digest, presented.digest)

    async def bearer(self, presented: Presented) -> ApiToken | Refusal:
        """Raises StoreError where the database does not answer and nothing is known of the token."""
        now, known = self._now(), self.knows(presented)
        try:
            with within(_WITHIN if known else None):
                token = await self._store.api_token(presented.key)
        except StoreError:
            if not known or now - self._seen[presented.key].at > _HOLDS:
                raise
            token = self._seen[presented.key].token
        else:
            if token is None or not hmac.compare_digest(token.digest, presented.digest):
                return "unknown"
            self._seen[token.key] = _Look(token, now)
        stands = standing(token.expires_at, token.revoked_at, now)
        return token if stands == "valid" else stands

    def use(self, token: ApiToken) -> None:
        """It is kept that it was used, once a minute and beside the request."""
        now = self._now()
        last = max(filter(None, (token.last_used_at, self._used.get(token.key))), default=None)
        if last is None or now - last >= LAST_USE_EVERY:
            self._used[token.key] = now
            self._begin(self._write_use(token, now))

    def is_over(self, token: ApiToken) -> bool:
        """Whether it is good no more, for what a request begins that takes long; as of some seconds ago."""
        now = self._now()
        look = self._seen.get(token.key) or _Look(token, now)
        if now - look.at >= _LOOK_EVERY:
            self._seen[token.key] = _Look(look.token, now)
            self._begin(self._look(token.key))
        return standing(look.token.expires_at, look.token.revoked_at, now) != "valid"

    async def close(self, _: web.Application | None = None) -> None:
        """What is under way is given up."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _write_use(self, token: ApiToken, now: datetime) -> None:
        try:
            await self._store.use_api_token(token.key, now, now - LAST_USE_EVERY)
        except StoreError as error:
            log.warning("use of a token not kept", token=token.name, error=str(error))

    async def _look(self, key: str) -> None:
        with suppress(StoreError):  # what was known holds
            if (found := await self._store.api_token(key)) is not None:
                self._seen[key] = _Look(found, self._now())


TOKENS: Final = web.AppKey("tokens", Tokens)
# Set for every request that came in with a token of the database.
TOKEN: Final = web.RequestKey("token", ApiToken)


def of(request: web.Request) -> ApiToken | None:
    """The token that the request bears, as the middleware found."""
    return request.get(TOKEN)
