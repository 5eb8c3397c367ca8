"""Core NATS: the connection of a process, its frames and headers, listening and requests."""

from mailcore.imports import without_authorities

with without_authorities():  # nats-py imports aiohttp, for ws://
    import nats.aio.client  # noqa: F401
