"""The syncer between a real Dovecot and a real nats-server; nobody consumes unless a test says so."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
from prometheus_client import REGISTRY
from pydantic import SecretStr

from mailcore import aio as bridge
from mailcore.aio import aio
from mailcore.bus import Bus, Pull
from mailcore.errors import BusError
from mailcore.events import control
from mailcore.events.control import MailboxStates, Refusal, SyncRun
from mailcore.events.message import FoundBy, Kind, MessageEvent
from mailcore.events.subject import parse_subject
from mailcore.events.thin import Expunged, Rebind, Reset, Stored, Synced, ThinEvent, decode_thin
from mailcore.settings import Settings
from mailcore.store import MessageRow, Store
from syncer.main import _serve
from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.nats import NatsServer

pytestmark = pytest.mark.trio


class Seen:
    """What is in the streams, in the order of arrival, and a hand to play the consumer."""

    def __init__(self, bus: Bus, store: Store) -> None:
        self.bus = bus
        self.store = store
        self.messages: list[MessageEvent] = []
        self.rebinds: list[Rebind] = []
        self.thin: list[ThinEvent] = []

    async def follow(self) -> None:
        """On the asyncio side, until cancelled."""
        async for delivery in self.bus.tail("mail.>", since="all", bodies=True):
            _, kind = parse_subject(delivery.subject)
            if kind in ("new", "backfill"):
                self.messages.append(MessageEvent.decode(delivery.headers, delivery.data))
            else:
                event = decode_thin(kind, delivery.data)
                (self.rebinds if isinstance(event, Rebind) else self.thin).append(event)  # type: ignore[arg-type]  # one list of two kinds

    def uids(self) -> list[int]:
        return sorted(event.identity.uid for event in self.messages)

    async def consume(self) -> None:
        """Store what is in the stream, as the consumer would, without files: row, `stored`, ack."""
        async with asyncio.TaskGroup() as tasks:
            for durable in ("store", "backfill"):
                tasks.create_task(self._consume(await self.bus.pull(durable)))

    async def _consume(self, pull: Pull) -> None:
        while True:
            for delivery in await pull.next(100, 1 << 24, 1.0):
                _, kind = parse_subject(delivery.subject)
                if kind == "rebind":
                    await self._rebind(decode_thin(kind, delivery.data))
                else:
                    await self._store(MessageEvent.decode(delivery.headers, delivery.data))
                delivery.ack()

    async def _store(self, event: MessageEvent) -> None:
        identity = event.identity
        mailbox = await self.store.load_mailbox(identity.key)
        assert mailbox is not None, "published before its mailbox had a row"
        (row_id,) = await self.store.insert_messages([row(mailbox.id, event)])
        await self.bus.publish(
            Stored(account=identity.account, mailbox=identity.mailbox, at=datetime.now(UTC), row_id=row_id,
                   uidvalidity=identity.uidvalidity, uid=identity.uid, sha256=event.sha256, size=event.size,
                   attachments=0)
        )  # fmt: skip

    async def _rebind(self, event: ThinEvent) -> None:
        raise AssertionError("no test rebinds through this consumer")


def row(mailbox_id: int, event: MessageEvent) -> MessageRow:
    return MessageRow(
        mailbox_id=mailbox_id,
        uidvalidity=event.identity.uidvalidity,
        uid=event.identity.uid,
        size=event.size,
        sha256=event.sha256,
        received_at=event.received_at,
        stored_at=datetime.now(UTC),
    )


@pytest.fixture
def settings(dovecot: Dovecot, nats_server: NatsServer, tmp_path: Path) -> Settings:
    return settings_for(dovecot, nats_server, tmp_path)


def settings_for(dovecot: Dovecot, nats_server: NatsServer, tmp_path: Path) -> Settings:
    return Settings(
        imap_host=dovecot.host,
        imap_port=dovecot.port,
        imap_user=dovecot.user,
        imap_password=dovecot.password,
        imap_use_ssl=False,
        nats_url=nats_server.url,
        data_dir=tmp_path / "data",
        media_root=tmp_path / "media",
        sync_interval=60,
        _env_file=None,
    )


@asynccontextmanager
async def syncing(settings: Settings) -> AsyncIterator[Seen]:
    """The syncer in this process, and somebody who watches the streams."""
    async with bridge.open_loop():
        store = await aio(Store.open, settings.database_url)
        await aio(store.upgrade)
        bus = await aio(_connect, settings.nats_url)
        try:
            async with trio.open_nursery() as nursery:
                seen = Seen(bus, store)
                nursery.start_soon(aio, seen.follow)
                nursery.start_soon(_serve, settings)
                yield seen
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await aio(bus.close)
                await aio(store.close)


async def _connect(url: str) -> Bus:
    bus = await Bus.connect(url, name="test")
    await bus.ensure()
    return bus


async def until(condition: Callable[[], bool], what: str, within: float = 10.0) -> None:
    with trio.move_on_after(within):
        while not condition():  # noqa: ASYNC110  # the condition is on the other side of a real server
            await trio.sleep(0.01)
        return
    pytest.fail(f"not within {within:.0f} s: {what}")


async def ask(seen: Seen, subject: str, payload: bytes = b"{}") -> bytes:
    """Ask the syncer, waiting until it listens."""
    with trio.fail_after(10):
        while True:
            try:
                return await aio(seen.bus.request, subject, payload, 5.0)
            except BusError:
                await trio.sleep(0.02)


async def idling(seen: Seen) -> None:
    with trio.fail_after(15):
        while True:
            states = MailboxStates.model_validate_json(await ask(seen, control.STATES))
            if states.mailboxes and all(state.connection == "idling" for state in states.mailboxes):
                return
            await trio.sleep(0.02)


async def manual(seen: Seen, payload: bytes = b"{}", wait: float = 20) -> SyncRun:
    started = SyncRun.model_validate_json(await ask(seen, control.START, payload))
    request = control.SyncResult(run_id=started.run_id, wait=wait).model_dump_json().encode()
    return SyncRun.model_validate_json(await aio(seen.bus.request, control.RESULT, request, wait + 5))


async def test_mail_that_was_there_is_backfill_newest_first_and_mail_that_comes_is_new(
    settings: Settings, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.fetch.BATCH_COUNT", 1)
    monkeypatch.setattr("syncer.fetch.WORKERS", 1)
    there = [make_mail(number).raw for number in range(3)]
    for raw in there:
        dovecot.append(raw)
    async with syncing(settings) as seen, trio.open_nursery() as nursery:
        nursery.start_soon(aio, seen.consume)
        await until(lambda: len(seen.messages) == 3, "the backfill is published")
        assert [event.kind for event in seen.messages] == [Kind.BACKFILL] * 3
        assert [event.identity.uid for event in seen.messages] == [3, 2, 1], "the newest first"
        await idling(seen)
        for number in range(10, 15):  # a look of the start may still be under way and win over the first push
            fresh = make_mail(number).raw
            uid = dovecot.append(fresh, flags=r"\Flagged")
            await until(lambda uid=uid: uid in seen.uids(), "what comes is published")  # type: ignore[misc]  # bound now
            event = seen.messages[-1]
            assert (event.kind, event.identity.uid) == (Kind.NEW, uid)
            assert event.body == fresh
            assert event.sha256 == hashlib.sha256(fresh).hexdigest()
            if event.found_by is FoundBy.PUSH:
                break
        assert event.found_by is FoundBy.PUSH
        assert r"\Flagged" in event.flags
        assert r"\Seen" not in dovecot.doveadm("fetch", "flags", "mailbox", "INBOX", "all")
        nursery.cancel_scope.cancel()


@pytest.mark.invariant("I4")
async def test_what_is_in_flight_when_the_syncer_dies_is_not_published_again(
    settings: Settings, dovecot: Dovecot
) -> None:
    for number in range(5):
        dovecot.append(make_mail(number).raw)
    async with syncing(settings) as seen:
        await until(lambda: seen.uids() == [1, 2, 3, 4, 5], "all five are published")
    async with syncing(settings) as seen:
        await idling(seen)
        dovecot.append(make_mail(6).raw)
        await until(lambda: 6 in seen.uids(), "the sixth is published")
        run = MailboxStates.model_validate_json(await ask(seen, control.STATES))
        assert run.mailboxes[0].in_flight == 6
        assert seen.uids() == [1, 2, 3, 4, 5, 6]


async def test_two_requests_at_once_are_one_run_which_ends_when_all_is_stored(
    settings: Settings, dovecot: Dovecot
) -> None:
    for number in range(20):
        dovecot.append(make_mail(number).raw)
    async with syncing(settings) as seen:
        await until(lambda: len(seen.messages) == 20, "the backfill is published")
        first = SyncRun.model_validate_json(await ask(seen, control.START))
        second = SyncRun.model_validate_json(await ask(seen, control.START, b'{"account": "default"}'))
        assert first.run_id == second.run_id
        assert first.status == "running", "nothing is stored yet"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(aio, seen.consume)
            ended = await manual(seen)
            nursery.cancel_scope.cancel()
        assert (ended.run_id, ended.status) == (first.run_id, "ok")
        assert (ended.found, ended.published, ended.stored) == (20, 20, 20)
        again = await manual(seen)
        assert again.run_id != first.run_id
        assert (again.status, again.found, again.published, again.stored) == ("ok", 0, 0, 0)
        await until(lambda: sum(isinstance(event, Synced) for event in seen.thin) >= 2, "synced events")


async def test_a_mailbox_in_which_nothing_happens_is_looked_at_once_an_interval(
    settings: Settings, dovecot: Dovecot
) -> None:
    def looks() -> float:
        return REGISTRY.get_sample_value("mozzart_sweep_seconds_count") or 0

    async with syncing(settings.model_copy(update={"sync_interval": 0.2})) as seen:
        await idling(seen)
        before = looks()
        await trio.sleep(1)
        assert 3 <= looks() - before <= 6


async def test_requests_for_what_is_not_there_are_refused_in_words(settings: Settings, dovecot: Dovecot) -> None:
    async with syncing(settings) as seen:
        await idling(seen)
        for payload, code in (
            (b'{"account": "nobody"}', "unknown-mailbox"),
            (b'{"mailbox": "Nope"}', "unknown-mailbox"),
            (b'{"surprise": 1}', "bad-request"),
            (b"not json", "bad-request"),
        ):
            refusal = Refusal.model_validate_json(await ask(seen, control.START, payload))
            assert refusal.code == code
        answer = await ask(seen, control.RESULT, b'{"run_id": "nope"}')
        assert Refusal.model_validate_json(answer).code == "unknown-run"


async def test_expunged_mail_is_told_once(settings: Settings, dovecot: Dovecot) -> None:
    for number in range(4):
        dovecot.append(make_mail(number).raw)
    async with syncing(settings) as seen, trio.open_nursery() as nursery:
        nursery.start_soon(aio, seen.consume)
        await until(lambda: len(seen.thin) >= 4, "stored")
        await idling(seen)
        await manual(seen)
        dovecot.expunge(2, 3)
        await until(lambda: len([e for e in seen.thin if isinstance(e, Expunged)]) == 2, "expunged events")
        assert (await manual(seen)).expunged == 0
        assert sorted(event.uid for event in seen.thin if isinstance(event, Expunged)) == [2, 3]
        nursery.cancel_scope.cancel()


@pytest.mark.invariant("I7")
async def test_a_new_uidvalidity_rebinds_what_is_stored_and_takes_what_is_not(
    settings: Settings, dovecot: Dovecot
) -> None:
    for number in range(3):
        dovecot.append(make_mail(number).raw)
    async with syncing(settings) as seen, trio.open_nursery() as nursery:
        nursery.start_soon(aio, seen.consume)
        await until(lambda: sum(isinstance(event, Stored) for event in seen.thin) == 3, "stored")
        nursery.cancel_scope.cancel()
    before = dovecot.uidvalidity()
    after = dovecot.change_uidvalidity()
    assert after != before
    dovecot.append(make_mail(9).raw)
    async with syncing(settings) as seen:
        await until(lambda: len(seen.rebinds) == 3, "three are rebound")
        await until(lambda: len(seen.messages) == 4, "the fourth is taken")
        resets = [event for event in seen.thin if isinstance(event, Reset)]
        assert [(reset.old_uidvalidity, reset.uidvalidity) for reset in resets] == [(before, after)]
        assert sorted(event.origin.uid for event in seen.rebinds) == [1, 2, 3]
        assert len({event.uid for event in seen.rebinds}) == 3
        assert [e.identity.uidvalidity for e in seen.messages] == [before] * 3 + [after]


async def test_backfill_none_takes_only_what_comes(settings: Settings, dovecot: Dovecot) -> None:
    for number in range(3):
        dovecot.append(make_mail(number).raw)
    chosen = settings.model_copy()
    chosen._accounts = tuple(account.model_copy(update={"backfill": "none"}) for account in settings.accounts)
    async with syncing(chosen) as seen:
        await idling(seen)
        assert (await manual(seen)).found == 0
        dovecot.append(make_mail(9).raw)
        await until(lambda: seen.uids() == [4], "the one that came")


async def test_backfill_of_some_days_leaves_what_is_older(settings: Settings, dovecot: Dovecot) -> None:
    now = datetime.now(UTC)
    for age in (90, 40, 3):
        dovecot.append(make_mail(age).raw, internaldate=now - timedelta(days=age))
    chosen = settings.model_copy()
    chosen._accounts = tuple(account.model_copy(update={"backfill": 10}) for account in settings.accounts)
    async with syncing(chosen) as seen:
        await until(lambda: seen.uids() == [3], "the one of the last ten days")
        await idling(seen)
        assert seen.uids() == [3]


@pytest.mark.invariant("I9")
async def test_a_refused_account_is_told_and_not_hammered(
    settings: Settings, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailcore.sync.refusal.HURRY_PAUSE", 0.2)
    chosen = settings.model_copy()
    wrong = SecretStr("not the password")
    chosen._accounts = tuple(a.model_copy(update={"password": wrong}) for a in settings.accounts)
    async with syncing(chosen) as seen:
        run = await manual(seen)
        assert run.status == "failed"
        assert run.results[0].error
        assert wrong.get_secret_value() not in run.results[0].error
        await trio.sleep(2)  # long enough for many logins, if it hammered
        states = MailboxStates.model_validate_json(await ask(seen, control.STATES))
        assert "AUTHENTICATIONFAILED" in states.mailboxes[0].error
        assert dovecot.log_text().count("auth failed") <= 2, "the one of the start and the one that was asked for"


@pytest.mark.invariant("I3")
async def test_events_lost_with_their_stream_are_published_again(
    settings: Settings, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.in_flight.EVERY", 0.2)
    for number in range(3):
        dovecot.append(make_mail(number).raw)
    async with syncing(settings) as seen:
        await until(lambda: len(seen.messages) == 3, "published")
        await trio.sleep(0.5)  # the look at what is in flight has seen the stream
        await aio(seen.bus.request, "$JS.API.STREAM.DELETE.MAIL_BACKFILL", b"", 5.0)
        await until(lambda: len(seen.messages) == 6, "published again", within=30)


async def test_without_imap_settings_the_syncer_refuses_a_run_with_the_sentence(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    empty = Settings(nats_url=nats_server.url, data_dir=tmp_path / "data", _env_file=None)
    async with syncing(empty) as seen:
        refusal = Refusal.model_validate_json(await ask(seen, control.START))
        assert refusal.code == "not-configured"
        assert refusal.message == "IMAP settings not configured; skipping sync."


async def test_mail_that_comes_while_the_server_falls_asleep_is_not_left_to_the_next_sweep(
    make_dovecot: Callable[..., Dovecot], nats_server: NatsServer, tmp_path: Path
) -> None:
    """Dovecot with hibernation announces nothing that comes in the second half of the first second of an IDLE."""
    dovecot = make_dovecot(hibernate="1s")
    async with syncing(settings_for(dovecot, nats_server, tmp_path)) as seen:
        await idling(seen)
        for number in range(4):
            first = dovecot.append(make_mail(number).raw)
            await until(lambda uid=first: uid in seen.uids(), "the push", within=5)  # type: ignore[misc]  # bound now
            await trio.sleep(0.75)
            second = dovecot.append(make_mail(100 + number).raw)
            await until(lambda uid=second: uid in seen.uids(), "soon", within=3)  # type: ignore[misc]  # bound now


async def test_a_part_of_a_message_is_fetched_again_for_whoever_asks(settings: Settings, dovecot: Dovecot) -> None:
    raw = make_mail(1, files=(100_000,)).raw
    dovecot.append_many([raw])
    async with syncing(settings) as seen:
        await until(lambda: seen.uids() == [1], "the message is in the stream")
        identity = seen.messages[0].identity

        async def part(**asked: int) -> bytes:
            facts = {"uidvalidity": identity.uidvalidity, "uid": 1, "count": 60_000} | asked
            request = control.PartRequest(account="default", mailbox="INBOX", **facts)
            return await ask(seen, control.PART, request.model_dump_json().encode())

        found = [control.MessagePart.model_validate_json(await part(offset=at)).data for at in (0, 60_000, 120_000)]
        assert b"".join(found) == raw[:180_000]
        behind = control.MessagePart.model_validate_json(await part(offset=len(raw)))
        assert behind.data == b""
        for asked in ({"uid": 2}, {"uidvalidity": identity.uidvalidity + 1}):
            assert Refusal.model_validate_json(await part(**asked)).code == "message-gone"
        nobody = control.PartRequest(account="nobody", mailbox="INBOX", uidvalidity=1, uid=1, count=1)
        answer = await ask(seen, control.PART, nobody.model_dump_json().encode())
        assert Refusal.model_validate_json(answer).code == "unknown-mailbox"
