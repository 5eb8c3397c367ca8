"""Fixtures of the adapters' tests: everything that is stored is stored in both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from mailcore.bus import Bus
from mailcore.media import Media
from mailcore.store import Store
from tests.support.consumers import Ear, listening
from tests.support.nats import NatsServer
from tests.support.pipeline import mirror  # noqa: F401  # a fixture
from tests.support.postgres import Postgres
from tests.support.stores import KEY, begin_with_tables, make_tables


@pytest.fixture(scope="session")
def postgres_with_tables(postgres: Postgres) -> str:
    """The name of an empty database that has its tables, to be copied."""
    url = postgres.create_database()
    make_tables(url)
    return url.rpartition("/")[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh database of each kind: with its tables for a test of `store`, otherwise empty."""
    with_tables = "store" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "data" / "mozzart.db"
        if with_tables:
            begin_with_tables(path)
        return f"sqlite+aiosqlite:///{path}"
    postgres: Postgres = request.getfixturevalue("postgres")
    if with_tables:
        return postgres.create_database(like=request.getfixturevalue("postgres_with_tables"))
    return postgres.create_database()


@pytest_asyncio.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """A store with its tables, on each kind of database."""
    opened = await Store.open(store_url)
    await opened.check()
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def mailbox_id(store: Store) -> int:
    """The row of the mailbox in which the events of tests/support/events.py happen."""
    return (await store.save_mailbox(KEY, uidvalidity=7)).id


@pytest_asyncio.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    """A bus with its streams on a server of the test's own."""
    connected = await Bus.connect(nats_server.url, name="test")
    await connected.ensure(max_bytes=512 << 20)
    yield connected
    await connected.close()


@pytest_asyncio.fixture
async def ear(bus: Bus) -> AsyncIterator[Ear]:
    """Hears what consumers tell."""
    async with listening(bus) as opened:
        yield opened


@pytest.fixture
def media(tmp_path: Path) -> Iterator[Media]:
    """An empty MEDIA_ROOT."""
    opened = Media.open(tmp_path / "media")
    yield opened
    opened.close()
