"""A request waits for the database for a bounded time in all: who asks over HTTP rather hears why than waits for
somebody's lock. What it waits for besides (a sync run, events) has bounds of its own."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from mailcore.store import Store
from mailcore.store.patience import within


def patient(store: Store) -> Middleware:
    """The middleware; the time is the store's own."""

    @web.middleware
    async def wait(request: web.Request, handler: Handler) -> web.StreamResponse:
        with within(store.patience):
            return await handler(request)

    return wait
