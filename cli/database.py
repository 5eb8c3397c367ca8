"""`mozzart db upgrade`."""

from __future__ import annotations

import structlog

from cli import exit_code
from mailcore.settings import Settings
from mailcore.store import Store

log = structlog.get_logger(__name__)


async def upgrade(settings: Settings) -> int:
    """Raises StoreError when the database does not answer."""
    store = await Store.open(settings.database_url)
    try:
        before = await store.current()
        await store.upgrade()
        after = await store.current()
    finally:
        await store.close()
    if before == after:
        log.info("database is up to date", revision=after)
    else:
        log.info("database upgraded", was=before or "empty", revision=after)
    return exit_code.OK
