"""GET /api/events/ over real HTTP and a real nats-server."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession, web

from api.dependencies import Dependencies
from api.guard.session import SESSIONS, Sessions
from api.main import application
from api.routes import events as events_module
from mailcore.bus import Bus
from mailcore.settings import Settings
from tests.support.events import expunged, message
from tests.support.nats import NatsServer

TOKEN = "test-token"


class Reader:
    """A browser's EventSource, as far as a test needs one."""

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        self._lines = lines
        self.last_id = ""

    async def next(self) -> dict[str, Any]:
        """The next event's data; raises TimeoutError after five seconds without one."""
        data = ""
        async with asyncio.timeout(5):
            async for raw in self._lines:
                line = raw.decode().rstrip("\n")
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last_id = value
                elif name == "data":
                    data = value
                elif not line and data:
                    found: dict[str, Any] = json.loads(data)
                    return found
        raise AssertionError("the stream ended")

    async def until_begun(self) -> None:
        """Until the server has said where the stream begins."""
        async with asyncio.timeout(5):
            while not self.last_id:
                line = (await anext(self._lines)).decode()
                if line.startswith("id: "):
                    self.last_id = line[4:].strip()


class Api:
    def __init__(self, port: int, session: ClientSession, sessions: Sessions) -> None:
        self.sessions = sessions
        self.url = f"http://127.0.0.1:{port}/api/events/"
        self.session = session

    @asynccontextmanager
    async def read(self, query: str = "", last_id: str = "") -> AsyncIterator[Reader]:
        headers = {"Authorization": f"Bearer {TOKEN}"} | ({"Last-Event-ID": last_id} if last_id else {})
        async with self.session.get(self.url + query, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            yield Reader(aiter(answer.content))

    async def status(self, query: str = "", last_id: str = "", method: str = "GET") -> int:
        headers = {"Authorization": f"Bearer {TOKEN}"} | ({"Last-Event-ID": last_id} if last_id else {})
        async with self.session.request(method, self.url + query, headers=headers) as answer:
            return answer.status


@pytest_asyncio.fixture
async def api(nats_server: NatsServer, bus: Bus, tmp_path: Path) -> AsyncIterator[Api]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    settings = Settings(_env_file=None, nats_url=nats_server.url, database_url=url, data_dir=tmp_path)
    dependencies = await Dependencies.open(settings)
    await dependencies.store.upgrade()
    app = application(dependencies, TOKEN)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with ClientSession() as session:
        async with asyncio.timeout(10):
            for pause in itertools.repeat(0.01):
                if not await dependencies.faults():
                    break
                await asyncio.sleep(pause)
        yield Api(runner.addresses[0][1], session, app[SESSIONS])
    await runner.cleanup()
    await dependencies.close()


@pytest.mark.asyncio
async def test_events_come_as_they_happen_with_what_they_say_and_without_the_body(api: Api, bus: Bus) -> None:
    await bus.publish(message(1))
    async with api.read() as reader:
        await reader.until_begun()
        await bus.publish(message(2))
        new = await reader.next()
        await bus.publish(expunged(2))
        gone = await reader.next()

    assert (new["type"], new["account"], new["mailbox"], new["uid"], new["found_by"]) == (
        "new",
        "default",
        "INBOX",
        2,
        "push",
    )
    assert "hello" not in json.dumps(new)
    assert (gone["type"], gone["uid"]) == ("expunged", 2)


@pytest.mark.asyncio
async def test_who_comes_again_with_the_last_id_misses_nothing_of_any_stream(api: Api, bus: Bus) -> None:
    async with api.read() as reader:
        await reader.until_begun()
        await bus.publish(message(1))
        await reader.next()
    await bus.publish(message(2))
    await bus.publish(expunged(1))

    async with api.read(last_id=reader.last_id) as again:
        came = {(event["type"], event["uid"]) for event in [await again.next(), await again.next()]}

    assert came == {("new", 2), ("expunged", 1)}


@pytest.mark.asyncio
async def test_who_lost_the_connection_before_the_first_event_misses_nothing_either(api: Api, bus: Bus) -> None:
    async with api.read() as reader:
        await reader.until_begun()
    await bus.publish(message(1))

    async with api.read(last_id=reader.last_id) as again:
        assert (await again.next())["uid"] == 1


@pytest.mark.asyncio
async def test_filters_leave_out_other_mailboxes_and_types(api: Api, bus: Bus) -> None:
    await bus.publish(message(1, mailbox="Entwürfe.2024"))
    await bus.publish(message(2))
    await bus.publish(expunged(2))

    async with api.read("?since=all&mailbox=Entw%C3%BCrfe.2024&account=default") as reader:
        assert (await reader.next())["uid"] == 1
    async with api.read("?since=all&type=dead,expunged") as reader:
        assert (await reader.next())["type"] == "expunged"
    async with api.read("?since=1&type=new") as reader:
        assert (await reader.next())["uid"] == 2
    async with api.read("?since=2020-01-01T00:00:00Z&type=new") as reader:
        assert (await reader.next())["uid"] == 1


@pytest.mark.asyncio
async def test_a_quiet_stream_has_a_heartbeat_and_ends_in_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "_HEARTBEAT", 0.05)
    monkeypatch.setattr(events_module, "_LONGEST", 0.3)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with asyncio.timeout(10), api.session.get(api.url, headers=headers) as answer:
        text = await answer.text()
    assert text.count(": still here\n\n") >= 2


@pytest.mark.asyncio
async def test_what_does_not_fit_is_refused_before_anything_is_streamed(api: Api) -> None:
    assert await api.status("?type=nonsense") == 400
    assert await api.status("?since=yesterday") == 400
    assert await api.status("?sinse=all") == 400
    assert await api.status(last_id="nonsense") == 400
    assert await api.status(method="HEAD") == 405


@pytest.mark.asyncio
async def test_more_readers_than_there_is_room_for_are_sent_away_and_room_is_given_back(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "_MOST_READERS", 1)
    monkeypatch.setattr(events_module, "_HEARTBEAT", 0.02)
    async with api.read() as reader:
        await reader.until_begun()
        assert await api.status() == 503
    async with asyncio.timeout(10):
        while True:
            answer = await api.session.get(api.url, headers={"Authorization": f"Bearer {TOKEN}"})
            answer.close()
            if answer.status == 200:
                break
            await asyncio.sleep(0.02)


@pytest.mark.asyncio
async def test_the_last_place_is_given_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "_MOST_READERS", 1)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*(api.session.get(api.url, headers=headers) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [503] * 7
    for answer in answers:
        answer.close()


@pytest.mark.asyncio
async def test_a_stream_ends_with_the_session_that_began_it(
    api: Api, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "_HEARTBEAT", 0.05)
    session = api.sessions.begin("admin")
    response = web.Response()
    api.sessions.put(response, session, secure=False)
    cookies = {"Cookie": f"sessionid={response.cookies['sessionid'].value}"}
    async with asyncio.timeout(10), api.session.get(api.url, headers=cookies) as answer:
        assert answer.status == 200
        await answer.content.readuntil(b"\n\n")
        await bus.publish(message(1))
        assert b"event: new" in await answer.content.readuntil(b"data:")
        api.sessions.end(session)
        await bus.publish(message(2))
        rest = await answer.content.read()
    assert b'"uid":2' not in rest
