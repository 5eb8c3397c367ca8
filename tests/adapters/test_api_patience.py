"""Requests to the api while somebody else has locked the tables of PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from aiohttp import ClientSession, web

from api.dependencies import Dependencies
from api.main import application
from mailcore.settings import Settings
from mailcore.store import Store
from mailcore.store.postgres import POOL_OVERFLOW, POOL_SIZE
from mailcore.store.schema import metadata

TOKEN = "test-token"
PATIENCE = 2.0
ALL = tuple(metadata.tables)
API = ("/api/messages/", "/api/messages/1/", "/api/attachments/1/", "/api/mailbox/states/", "/api/verify/")
PAGES = ("/admin/", "/admin/messages/", "/admin/messages/1/", "/admin/verify/")
HEALTH = "/admin/health/"  # says what is wrong, and shows the rest
PROBES = ("/readyz", "/metrics")
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mozzart' AND wait_event_type = 'Lock'"


@dataclass(frozen=True)
class Answered:
    status: int
    kind: str
    text: str
    seconds: float


class Api:
    def __init__(self, session: ClientSession, url: str, dependencies: Dependencies) -> None:
        self._session, self._url = session, url
        self.dependencies = dependencies

    async def get(self, path: str) -> Answered:
        began = time.monotonic()
        headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "text/html"}
        async with self._session.get(self._url + path, headers=headers) as answer:
            text = await answer.text()
            return Answered(answer.status, answer.content_type, text, time.monotonic() - began)


@pytest_asyncio.fixture
async def api(postgres_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    settings = Settings(
        _env_file=None,
        nats_url="nats://127.0.0.1:1",
        database_url=postgres_url,
        data_dir=tmp_path,
        media_root=tmp_path / "media",
    )
    store = await Store.open(postgres_url)
    await store.upgrade()
    await store.close()
    dependencies = await Dependencies.open(settings)
    runner = web.AppRunner(application(dependencies, TOKEN), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with ClientSession() as session:
        yield Api(session, f"http://127.0.0.1:{runner.addresses[0][1]}", dependencies)
    await runner.cleanup()
    await dependencies.close()


@asynccontextmanager
async def locked(url: str, tables: tuple[str, ...]) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else holds them for himself; his connection."""
    somebody = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await somebody.execute(f"BEGIN; LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        yield somebody
    finally:
        await somebody.close()


async def until_nobody_waits(somebody: asyncpg.Connection) -> None:
    async with asyncio.timeout(5):
        for pause in itertools.repeat(0.02):
            if not await somebody.fetchval(WAITING):
                return
            await asyncio.sleep(pause)


@pytest.mark.asyncio
async def test_whatever_is_asked_for_is_answered_in_time_and_in_words(api: Api, postgres_url: str) -> None:
    paths = (*API, *PAGES, HEALTH, *PROBES)
    await asyncio.gather(*map(api.get, paths))  # templates and statements are compiled
    api.dependencies.store.patience = PATIENCE
    async with locked(postgres_url, ALL) as somebody:
        found = dict(zip(paths, await asyncio.gather(*map(api.get, paths)), strict=True))
        await until_nobody_waits(somebody)
    # Two waits one after the other would be twice as long.
    assert {path: one.seconds for path, one in found.items() if one.seconds > 1.9 * PATIENCE} == {}
    for path in API:
        assert (found[path].status, found[path].kind) == (503, "application/problem+json"), path
        assert "did not answer within 2 s" in found[path].text, path
    for path in PAGES:
        assert (found[path].status, found[path].kind) == (503, "text/html"), path
        assert "did not answer within 2 s" in found[path].text, path
    assert found[HEALTH].status == 200
    assert "did not answer within 2 s" in found[HEALTH].text
    assert found["/readyz"].status == 503
    assert found["/metrics"].status == 200


@pytest.mark.asyncio
async def test_who_has_given_up_holds_no_connection_and_what_is_not_locked_is_read(api: Api, postgres_url: str) -> None:
    store = api.dependencies.store
    store.patience = 0.3
    async with locked(postgres_url, ("mailbox_app_verifyreport",)) as somebody:
        for _ in range(2):
            many = await asyncio.gather(*(api.get("/api/verify/") for _ in range(POOL_SIZE + POOL_OVERFLOW)))
            assert {one.status for one in many} == {503}
        await until_nobody_waits(somebody)
        store.patience = 5
        assert (await api.get("/api/messages/")).status == 200
    assert (await api.get("/api/verify/")).status == 200


@pytest.mark.asyncio
async def test_the_server_ends_what_a_frozen_api_has_asked_for(api: Api) -> None:
    bound = await api.dependencies.store._engine.run(
        lambda connection: connection.exec_driver_sql("SHOW statement_timeout").scalar(), writes=False
    )
    assert bound == "11s"


@pytest.mark.asyncio
async def test_it_is_ten_seconds_for_a_request_of_several_calls(api: Api, postgres_url: str) -> None:
    async with locked(postgres_url, ("mailbox_app_mailboxstate",)):
        found = await api.get("/admin/messages/")
    assert found.status == 503
    assert "did not answer within 10 s" in found.text
    assert 9.9 < found.seconds < 13
