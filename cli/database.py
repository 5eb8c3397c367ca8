"""`mozzart db`: the revision of the tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import click
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_fixed

from cli import exit_code
from mailcore.errors import Retry, StoreError
from mailcore.settings import Settings
from mailcore.store import Store, migration

log = structlog.get_logger(__name__)


async def upgrade(settings: Settings) -> int:
    """Raises StoreError when the database does not answer."""
    async with _opened(settings) as store:
        before = await store.current()
        if migration.is_later(before):
            log.warning("a later version made these tables; they stay as they are", revision=before)
            return exit_code.OK
        log.info("upgrading", was=before or "empty", to=migration.newest())
        await store.upgrade()
        after = await store.current()
    if before == after:
        log.info("database is up to date", revision=after)
    else:
        log.info("database upgraded", was=before or "empty", revision=after)
    return exit_code.OK


async def current(settings: Settings) -> int:
    """Prints the revision, `none` without tables. Raises StoreError."""
    async with _opened(settings) as store:
        click.echo(await store.current() or "none")
    return exit_code.OK


async def check(settings: Settings) -> int:
    """FAILED when this version cannot work with the tables. Raises StoreError when the database does not answer."""
    async with _opened(settings) as store:
        found, lacking = await store.current(), await store.lacking()
    wanted = migration.newest()
    later = migration.is_later(found)
    if found == wanted or later:
        if not lacking:
            click.echo(f"{found}: {'of a later version, which this one can use' if later else 'up to date'}")
            return exit_code.OK
        said, remedy = f"lacks {', '.join(lacking)}", "restore a backup, or run the version that made these tables"
    else:
        said, remedy = f"this version needs {wanted}", "run `mozzart db upgrade`"
    click.secho(f"{found or 'none'}: {said}; {remedy}", fg="red", err=True)
    return exit_code.FAILED


async def until_it_answers(work: Callable[[], Awaitable[int]], seconds: float) -> int:
    """The result of `work`, tried again for `seconds` while the database is down. Raises what it raised last."""
    trying = AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, StoreError) and error.retry is not Retry.NEVER),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(1),
        before_sleep=_tell,
        reraise=True,
    )

    async def once() -> int:  # what tenacity awaits must be a coroutine function
        return await work()

    return await trying(once)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Store]:
    store = await Store.open(settings.database_url)
    try:
        yield store
    finally:
        await store.close()


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("waiting for the database", error=str(error))
