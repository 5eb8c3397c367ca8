"""The webhook process against a real nats-server and a real receiver that checks signatures as any receiver would."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
import pytest
import pytest_asyncio
from aiohttp import web
from pydantic import SecretStr
from standardwebhooks import Webhook

from mailcore import undelivered
from mailcore.bus import Bus
from mailcore.errors import SettingsError
from mailcore.events.message import FoundBy, Kind
from mailcore.events.thin import Origin, Stored
from mailcore.settings import Settings
from mailcore.undelivered import UndeliveredMissing, WebhookSilent
from tests.support.events import NOW, expunged
from tests.support.nats import NatsServer
from webhooks import delivering
from webhooks.main import serve

SECRET = "whsec_" + "b3VyLXNlY3JldC1vbmx5LWZvci10ZXN0cy0zMmJ5dGU="


class Receiver:
    """It verifies each delivery and answers with the next of `answers`, then with 204."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self.answers: list[int] = []
        self.headers: dict[str, str] = {}
        self.hold: asyncio.Event | None = None
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        told = Webhook(SECRET).verify(body, dict(request.headers.items()) | _folded(request))
        self.headers = _folded(request)
        self.got.put_nowait((request.headers["webhook-id"], told))
        if self.hold is not None:
            await self.hold.wait()
        return web.Response(status=self.answers.pop(0) if self.answers else 204)

    async def next(self, within: float = 20) -> tuple[str, dict[str, Any]]:
        async with asyncio.timeout(within):
            return await self.got.get()


def _folded(request: web.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    application = web.Application()
    application.router.add_post("/hook/a-token", made.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}/hook/a-token"
    yield made
    if made.hold is not None:
        made.hold.set()
    await runner.cleanup()


@asynccontextmanager
async def serving(
    nats_server: NatsServer, url: str, *, events: str = "stored,expunged,reset,dead"
) -> AsyncIterator[None]:
    """The process's whole life in a task, begun when its durable is there."""
    settings = Settings(
        _env_file=None,
        nats_url=nats_server.url,
        webhook_url=url,
        webhook_secret=SecretStr(SECRET),
        webhook_events=events,  # type: ignore[arg-type]  # as the environment has it
    )
    stop = asyncio.Event()
    task = asyncio.ensure_future(serve(settings, stop))
    client = await nats.connect(nats_server.url)
    try:
        async with asyncio.timeout(20):
            while not task.done():
                try:
                    await client.jetstream().consumer_info("MAIL_EVENTS", "webhook")
                    break
                except nats.js.errors.NotFoundError:
                    await asyncio.sleep(0.02)
        if task.done():
            task.result()
        yield
    finally:
        stop.set()
        await client.close()
        async with asyncio.timeout(10):
            await task


def stored(uid: int, **fields: Any) -> Stored:
    facts: dict[str, Any] = {"kind": Kind.NEW, "found_by": FoundBy.PUSH, **fields}
    return Stored(
        account="default", mailbox="Entwürfe", at=NOW, uidvalidity=7, uid=uid, row_id=uid, sha256="0" * 64, size=3,
        attachments=0, **facts,
    )  # fmt: skip


@pytest.mark.asyncio
async def test_an_event_arrives_signed_with_its_own_id(bus: Bus, nats_server: NatsServer, receiver: Receiver) -> None:
    async with serving(nats_server, receiver.url):
        await bus.publish(stored(1))
        identity, told = await receiver.next()
    assert identity == "default/Entw%C3%BCrfe/7/1/stored"
    assert (told["type"], told["timestamp"]) == ("mozzart.mail.stored.v1", "2024-05-06T07:08:09.123456Z")
    assert told["data"] == json.loads(stored(1).payload())
    assert receiver.headers["content-type"] == "application/json"
    assert receiver.headers["user-agent"].startswith("mozzart-mailbox-sync/")


@pytest.mark.asyncio
async def test_a_delivery_that_failed_comes_again_with_the_same_id_and_body(
    bus: Bus, nats_server: NatsServer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.disposition.DELAYS", (0.05, 0.1))
    receiver.answers = [500, 302, 429]
    async with serving(nats_server, receiver.url):
        await bus.publish(stored(1))
        got = [await receiver.next() for _ in range(4)]
        await bus.publish(stored(2))
        assert (await receiver.next())[1]["data"]["uid"] == 2  # the fourth was the last of the first
    assert got == [got[0]] * 4


@pytest.mark.asyncio
async def test_what_happens_while_the_process_is_down_is_delivered_later_and_nothing_from_before_its_first_start(
    bus: Bus, nats_server: NatsServer, receiver: Receiver
) -> None:
    await bus.publish(stored(1))
    async with serving(nats_server, receiver.url):
        pass
    await bus.publish(stored(2))
    async with serving(nats_server, receiver.url):
        assert (await receiver.next())[1]["data"]["uid"] == 2
    assert receiver.got.empty()


@pytest.mark.asyncio
async def test_mail_that_was_there_before_is_no_news_unless_asked_for(
    bus: Bus, nats_server: NatsServer, receiver: Receiver
) -> None:
    old = stored(1, kind=Kind.BACKFILL, found_by=FoundBy.SWEEP)
    renumbered = stored(2, kind=None, found_by=None, rebound_from=Origin(uidvalidity=6, uid=1))
    async with serving(nats_server, receiver.url):
        for event in (old, renumbered, stored(3), expunged(3)):
            await bus.publish(event)
        got = {(await receiver.next())[0] for _ in range(2)}
    assert got == {"default/Entw%C3%BCrfe/7/3/stored", "default/INBOX/7/3/expunged"}
    async with serving(nats_server, receiver.url, events="backfill"):
        await bus.publish(stored(4))
        await bus.publish(stored(5, kind=Kind.BACKFILL))
        assert (await receiver.next())[1]["data"]["uid"] == 5
    assert receiver.got.empty()


@pytest.mark.asyncio
async def test_a_receiver_that_is_gone_for_good_gets_no_more_of_it_and_the_event_is_kept(
    bus: Bus, nats_server: NatsServer, receiver: Receiver
) -> None:
    receiver.answers = [410]
    client = await nats.connect(nats_server.url)
    async with serving(nats_server, receiver.url):
        await bus.publish(stored(1))
        await receiver.next()
        kept = await client.jetstream().pull_subscribe("webhook-dead.>", stream="WEBHOOK_DEAD")
        (dead,) = await kept.fetch(1, timeout=10)
    assert dead.subject == "webhook-dead.default.Entw%C3%BCrfe.stored"
    assert dead.data == stored(1).payload()
    assert dead.headers is not None
    assert dead.headers["mozzart-error"] == "HTTP 410"
    assert dead.headers["ce-id"] == "default/Entw%C3%BCrfe/7/1/stored"
    await client.close()


@pytest.mark.asyncio
async def test_what_was_given_up_is_listed_and_leaves_the_list_when_the_receiver_takes_it(
    bus: Bus, nats_server: NatsServer, receiver: Receiver
) -> None:
    assert await undelivered.count(bus) == 0, "where no webhook ever ran there is nothing"
    assert [one async for one in undelivered.entries(bus)] == []
    receiver.answers = [410, 410, 500]
    async with serving(nats_server, receiver.url):
        for uid in (1, 2):
            await bus.publish(stored(uid))
        first = [await receiver.next() for _ in range(2)]
        async with asyncio.timeout(10):
            for pause in itertools.repeat(0.02):
                if await undelivered.count(bus) == 2:
                    break
                await asyncio.sleep(pause)
        found = {one.id: one async for one in undelivered.entries(bus)}
        entry = found["default/Entw%C3%BCrfe/7/1/stored"]
        assert (entry.error, entry.attempts, entry.type, entry.key.mailbox) == ("HTTP 410", 1, "stored", "Entwürfe")
        assert entry.payload == stored(1).payload()
        assert [one.seq async for one in undelivered.entries(bus, after=1)] == [2]

        refused = await undelivered.redeliver(bus, entry.seq)
        assert (refused.status, refused.error) == ("refused", "HTTP 500")
        assert await undelivered.count(bus) == 2, "it stays until it was taken"
        assert (await undelivered.redeliver(bus, entry.seq)).status == "delivered"
        # The same event, under the same id, as a receiver that has it already knows.
        again = [await receiver.next() for _ in range(2)]
        assert again == [one for one in first if one[0] == entry.id] * 2
        assert [one.id async for one in undelivered.entries(bus)] == ["default/Entw%C3%BCrfe/7/2/stored"]
        for seq in (entry.seq, 4711):
            with pytest.raises(UndeliveredMissing, match=f"no undelivered event {seq}"):
                await undelivered.redeliver(bus, seq)
    (left,) = [one.seq async for one in undelivered.entries(bus)]
    with pytest.raises(WebhookSilent, match="WEBHOOK_URL"):
        await undelivered.redeliver(bus, left)
    assert receiver.got.empty()


@pytest.mark.asyncio
async def test_what_nobody_understands_is_left_out_of_the_list_and_is_never_sent(
    bus: Bus, nats_server: NatsServer, receiver: Receiver
) -> None:
    async with serving(nats_server, receiver.url):
        for subject in ("webhook-dead.x", "webhook-dead.default.INBOX.stored"):
            await bus.dedicated.publish(subject, {"mozzart-deliveries": "many"}, b"\xff")
        assert [(one.seq, one.attempts) async for one in undelivered.entries(bus)] == [(2, 0)]
        for seq in (1, 2):
            with pytest.raises(UndeliveredMissing):
                await undelivered.redeliver(bus, seq)
        assert b'"missing"' in await bus.request("mozzart.webhook.redeliver", b"{}", 5)
    assert await undelivered.count(bus) == 2
    assert receiver.got.empty()


@pytest.mark.asyncio
async def test_what_is_under_way_at_the_end_is_given_back_and_comes_again(
    bus: Bus, nats_server: NatsServer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "GRACE", 0.1)
    receiver.hold = asyncio.Event()
    async with serving(nats_server, receiver.url):
        await bus.publish(stored(1))
        first = await receiver.next()
    receiver.hold.set()
    async with serving(nats_server, receiver.url):
        assert await receiver.next() == first


@pytest.mark.asyncio
async def test_an_outage_is_one_line_of_the_log_and_names_the_host_alone(
    bus: Bus,
    nats_server: NatsServer,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("webhooks.disposition.DELAYS", (0.05,))
    receiver.answers = [503] * 5
    async with serving(nats_server, receiver.url):
        await bus.publish(stored(1))
        for _ in range(6):
            await receiver.next()
        await bus.publish(stored(2))
        await receiver.next()
    said = capsys.readouterr().out
    assert said.count("[warning  ] not-delivered") == 1
    assert said.count("receiver is well again") == 1
    assert "a-token" not in said
    assert SECRET not in said


@pytest.mark.asyncio
async def test_without_an_address_or_with_a_wrong_secret_it_says_so(nats_server: NatsServer) -> None:
    none = Settings(_env_file=None, nats_url=nats_server.url)
    with pytest.raises(SettingsError, match="WEBHOOK_URL"):
        await serve(none, asyncio.Event())
    wrong = Settings(
        _env_file=None, nats_url=nats_server.url, webhook_url="http://127.0.0.1:1/", webhook_secret=SecretStr("x")
    )
    with pytest.raises(SettingsError, match="WEBHOOK_SECRET"):
        await serve(wrong, asyncio.Event())


@pytest.mark.asyncio
async def test_a_durable_that_somebody_deletes_is_made_again_and_nothing_since_the_start_is_missed(
    bus: Bus, nats_server: NatsServer, receiver: Receiver
) -> None:
    client = await nats.connect(nats_server.url)
    async with serving(nats_server, receiver.url):
        await bus.publish(stored(1))
        await receiver.next()
        await client.jetstream().delete_consumer("MAIL_EVENTS", "webhook")
        await bus.publish(stored(2))
        told = {(await receiver.next())[1]["data"]["uid"]}
        if told == {1}:  # delivered again: at least once
            told = {(await receiver.next())[1]["data"]["uid"]}
        assert told == {2}
    await client.close()
