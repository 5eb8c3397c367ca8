"""The HTTP api, and pages for people."""

from mailcore.imports import without_authorities

with without_authorities():
    import aiohttp  # noqa: F401
