"""docker/nats-server.conf: what each user may do, and what it may not, asked of a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from nats.aio.client import Client

from mailcore import undelivered
from mailcore.bus import Bus
from mailcore.errors import BusError
from mailcore.events.thin import Dead
from mailcore.events.undelivered import REDELIVER, Redeliver
from tests.support.composed import Composed
from tests.support.events import expunged, message

pytestmark = pytest.mark.asyncio

LARGE = b"Subject: large\r\n\r\n" + b"x" * (9 << 20)  # more than max_payload


class Buses:
    """One connection for each role, each with its own user."""

    def __init__(self, composed: Composed, stack: AsyncExitStack) -> None:
        self._composed = composed
        self._stack = stack

    async def of(self, role: str) -> Bus:
        bus = await Bus.connect(self._composed.url(role), name=role)
        self._stack.push_async_callback(bus.close)
        return bus


@pytest_asyncio.fixture
async def buses(composed: Composed) -> AsyncIterator[Buses]:
    async with AsyncExitStack() as stack:
        yield Buses(composed, stack)


class Person:
    """A stock client with that user, and what the server refused it."""

    def __init__(self) -> None:
        self.client = Client()
        self.refused: list[str] = []

    async def connect(self, url: str) -> Person:
        async def note(error: Exception) -> None:
            self.refused.append(str(error).lower())

        await self.client.connect(url, error_cb=note, allow_reconnect=False)
        return self

    async def refusals(self, *subjects: str, payload: bytes = b"", reply: str = "") -> list[str]:
        """Publish to each of them; those that were refused."""
        self.refused.clear()
        for subject in subjects:
            await self.client.publish(subject, payload, reply=reply)
        await self.client.flush()
        await self._hear(lambda: len(self.refused) >= len(subjects))
        return [one for one in subjects if any(f'publish to "{one}"'.lower() in said for said in self.refused)]

    async def cannot_hear(self, subject: str) -> bool:
        self.refused.clear()
        await self.client.subscribe(subject)
        await self.client.flush()
        await self._hear(lambda: bool(self.refused))
        return any("subscription" in said for said in self.refused)

    async def _hear(self, enough: Callable[[], bool]) -> None:
        """The client tells of errors in tasks of their own, a little after the answer to `flush`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while not enough():  # noqa: ASYNC110 - nats-py has no event for it
                    await asyncio.sleep(0.005)


@pytest_asyncio.fixture
async def downstream(composed: Composed) -> AsyncIterator[Person]:
    person = await Person().connect(composed.url("downstream"))
    yield person
    await person.client.close()


async def test_every_role_does_its_work_with_its_user(composed: Composed, buses: Buses, tmp_path: Path) -> None:
    syncer, consumer, api = [await buses.of(role) for role in ("syncer", "consumer", "api")]
    large, got = tmp_path / "large", tmp_path / "got"
    large.write_bytes(LARGE)
    await syncer.ensure()
    await consumer.ensure()

    await syncer.put_body("one", large)
    large.write_bytes(LARGE + b"y")
    await syncer.put_body("one", large)  # replaces, and so purges
    await syncer.publish(message(1))
    await syncer.publish(expunged(1))
    await consumer.get_body("one", got)
    assert got.read_bytes() == LARGE + b"y"

    for durable, subject in (("store", "new"), ("expunge", "expunged")):
        (delivery,) = await (await consumer.pull(durable)).next(timeout=5)
        assert delivery.subject.endswith(subject)
        delivery.ack()
        if durable == "store":
            await consumer.publish_dead(delivery.headers, large, "a reason", 5)
            await consumer.publish_dead(delivery.headers | {"ce-id": "default/INBOX/7/2"}, b"small", "a reason", 5)
    await consumer.publish(
        Dead(account="default", mailbox="INBOX", at=datetime.now(UTC), uidvalidity=7, uid=1, error="x", deliveries=5)
    )

    assert len(await syncer.dead_identities()) == 2
    assert [each.identity.uid async for each in syncer.unsettled()] == []
    letters = [letter async for letter in api.dead_letters()]
    assert [letter.identity.uid for letter in letters] == [1, 2]
    await api.dead_body(letters[0].seq, got)
    for letter in letters:
        await api.redrive(letter.seq)
    assert [letter async for letter in api.dead_letters()] == []
    async with aclosing(api.tail("mail.>", since="all")) as events:
        async with asyncio.timeout(10):
            heard = [(await anext(events)).subject.rpartition(".")[2] for _ in range(5)]
    assert sorted(heard) == ["dead", "expunged", "new", "new", "new"]

    await syncer.respond("mozzart.sync.states", _answer)
    assert await api.request("mozzart.sync.states", b"", 5) == b"here"
    assert "Violation" not in composed.log


async def _answer(_: bytes) -> bytes:
    return b"here"


async def test_the_api_sees_what_waits_and_what_a_webhook_could_not_deliver(composed: Composed, buses: Buses) -> None:
    api, webhook = await buses.of("api"), await buses.of("webhook")
    await webhook.ensure()
    await webhook.dedicated.stream(undelivered.CONFIG)
    await webhook.dedicated.publish("webhook-dead.default.INBOX.stored", {"mozzart-deliveries": "3"}, b"{}")

    async def take_it(request: bytes) -> bytes:
        seq = Redeliver.model_validate_json(request).seq
        assert (await undelivered.entry(webhook, seq)).payload == b"{}"
        await undelivered.remove(webhook, seq)
        return b'{"status": "delivered"}'

    await webhook.respond(REDELIVER, take_it)

    assert await api.waiting() == {"store": 0, "backfill": 0, "expunge": 0, "flags": 0}
    (entry,) = [one async for one in undelivered.entries(api)]
    assert (await undelivered.redeliver(api, entry.seq)).status == "delivered"
    assert await undelivered.count(api) == 0
    assert "Violation" not in composed.log


async def test_a_role_may_not_do_the_work_of_another(composed: Composed, buses: Buses) -> None:
    await (await buses.of("syncer")).ensure()
    wrong = {
        "syncer": [
            "mail.a.b.stored",
            "dead.a.b",
            "$JS.API.CONSUMER.MSG.NEXT.MAIL_BACKFILL.backfill",
            "$JS.ACK.MAIL.store.1",
        ],
        "consumer": ["mail.a.b.new", "mail.a.b.expunged", "mozzart.sync.start", "$JS.API.STREAM.PURGE.MAIL_DEAD"],
        "api": ["mail.a.b.stored", "$JS.API.STREAM.UPDATE.MAIL", "$JS.API.CONSUMER.DELETE.MAIL.store", "dead.a.b"],
        "webhook": ["mail.a.b.new", "mail.a.b.stored", "dead.a.b", "$JS.API.CONSUMER.MSG.NEXT.MAIL.store"],
    }
    for role, subjects in wrong.items():
        person = await Person().connect(composed.url(role))
        subjects += ["$JS.API.STREAM.DELETE.MAIL", "$JS.API.STREAM.PURGE.MAIL", "$JS.API.STREAM.MSG.DELETE.MAIL"]
        assert await person.refusals(*subjects) == subjects, role
        for other in ("syncer", "consumer", "api", "webhook", "operator"):
            assert await person.cannot_hear(f"_INBOX_{other}.>") == (other != role), (role, other)
        assert await person.cannot_hear("_INBOX.>")
        await person.client.close()


async def test_a_subscriber_reads_events_live_and_from_the_past(
    buses: Buses, downstream: Person, tmp_path: Path
) -> None:
    syncer = await buses.of("syncer")
    await syncer.ensure()
    await syncer.publish(message(1))
    live = await downstream.client.subscribe("mail.*.*.new")
    await downstream.client.flush()
    await syncer.publish(message(2))
    assert (await live.next_msg(timeout=5)).data == message(2).body

    jetstream = downstream.client.jetstream(domain="mozzart")
    durable = await jetstream.pull_subscribe("mail.*.*.new", durable="mine", stream="MAIL")
    events = await durable.fetch(2, timeout=5)
    assert [event.headers["ce-id"] for event in events if event.headers] == ["default/INBOX/7/1", "default/INBOX/7/2"]
    assert [event.subject for event in events] == ["mail.default.INBOX.new"] * 2
    for event in events:
        await event.ack_sync()
    assert (await durable.consumer_info()).num_ack_pending == 0
    ordered = await jetstream.subscribe("mail.*.*.new", stream="MAIL", ordered_consumer=True)
    assert (await ordered.next_msg(timeout=5)).data == message(1).body
    await jetstream.delete_consumer("MAIL", "mine")

    large = tmp_path / "large"
    large.write_bytes(LARGE)
    await syncer.put_body("one", large)
    found = await (await jetstream.object_store("mail-bodies")).get("one")
    assert found.data == LARGE
    assert downstream.refused == []


async def test_a_subscriber_changes_nothing(composed: Composed, buses: Buses, downstream: Person) -> None:
    operator = await buses.of("tools")
    await operator.ensure()
    await operator.publish(message(1))
    before = {stream: (await operator.position(stream)).last_seq for stream in ("MAIL", "MAIL_EVENTS", "MAIL_DEAD")}

    api = "$JS.mozzart.API"
    subjects = ["mail.default.INBOX.new", "mail.default.INBOX.stored", "dead.default.INBOX", "mozzart.sync.start"]
    subjects += [
        f"{prefix}.STREAM.{verb}.MAIL"
        for verb in ("DELETE", "PURGE", "UPDATE", "CREATE", "MSG.DELETE")
        for prefix in (api, "$JS.API")
    ]
    subjects += [f"{api}.{verb}" for verb in ("STREAM.INFO.MAIL_DEAD", "CONSUMER.CREATE.MAIL_DEAD.mine")]
    subjects += [f"{api}.CONSUMER.MSG.NEXT.MAIL_DEAD.mine", f"{api}.STREAM.MSG.GET.MAIL_DEAD"]
    for durable, stream in (
        ("store", "MAIL"),
        ("backfill", "MAIL"),
        ("backfill", "MAIL_BACKFILL"),
        ("expunge", "MAIL_EVENTS"),
        ("flags", "MAIL_EVENTS"),
        ("webhook", "MAIL_EVENTS"),
    ):
        verbs = ("DELETE", "CREATE", "DURABLE.CREATE", "MSG.NEXT", "PAUSE", "UNPIN", "RESET", "LEADER.STEPDOWN")
        subjects += [f"{api}.CONSUMER.{verb}.{stream}.{durable}" for verb in verbs]
        subjects += [f"{api}.CONSUMER.CREATE.{stream}.{durable}.mail.a.b.new", f"$JS.ACK.{stream}.{durable}.1.1.1.1.1"]
    assert await downstream.refusals(*subjects, payload=b"{}") == subjects
    for subject in ("dead.>", "_INBOX_api.>", "_INBOX_syncer.>", "$JS.>", "mozzart.>", ">", "$O.>"):
        assert await downstream.cannot_hear(subject), subject

    # The answer to a request that it may make, sent to a subject that it may not publish to.
    await downstream.client.publish(f"{api}.STREAM.INFO.MAIL", b"", reply="mail.default.INBOX.new")
    # A consumer that delivers to such a subject.
    config = {
        "name": "mine",
        "deliver_subject": "mail.default.INBOX.stored",
        "deliver_policy": "all",
        "ack_policy": "none",
    }
    request = json.dumps({"stream_name": "MAIL", "config": config}).encode()
    await downstream.client.request(f"{api}.CONSUMER.CREATE.MAIL.mine", request, timeout=5)
    # The names in the subject, which the permissions see, are not those in the request.
    for place, config, stream in (
        ("CREATE.MAIL.other", {"name": "store"}, "MAIL"),
        ("CREATE.MAIL.other", {"name": "other"}, "MAIL_DEAD"),
        ("CREATE.MAIL", {"name": "store"}, "MAIL"),
        ("CREATE.MAIL", {"durable_name": "store"}, "MAIL"),
        ("DURABLE.CREATE.MAIL.other", {"durable_name": "store"}, "MAIL"),
    ):
        request = json.dumps({"stream_name": stream, "config": {**config, "ack_policy": "none"}}).encode()
        answer = json.loads((await downstream.client.request(f"{api}.CONSUMER.{place}", request, timeout=5)).data)
        assert "error" in answer or (answer["stream_name"], answer["name"] == "store") == ("MAIL", False), place
    await asyncio.sleep(0.5)
    after = {stream: (await operator.position(stream)).last_seq for stream in before}
    assert after == before
    (delivery,) = await (await operator.pull("store")).next(timeout=5)
    assert delivery.data == message(1).body


async def test_without_a_password_nobody_gets_in(composed: Composed) -> None:
    for credentials in ("", "syncer:wrong@", "syncer:@"):
        with pytest.raises(BusError, match="refused the credentials"):
            await Bus.connect(f"nats://{credentials}127.0.0.1:{composed.port}", name="stranger")
