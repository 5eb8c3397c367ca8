"""What consumers do when messages, databases, disks or they themselves fail: nothing is lost, nothing is twice, nobody
is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NoReturn, TypeVar

import pytest
from structlog.testing import capture_logs

from consumers import disposition, retrying, storing
from consumers.draft import Draft
from mailcore import metrics, waits
from mailcore.bus import MAIL_EVENTS, Bus, Pipeline, PubAck
from mailcore.errors import BusError
from mailcore.events.identity import Identity
from mailcore.events.message import MessageEvent
from mailcore.events.thin import Origin, Rebind, ThinEvent
from mailcore.media import Media
from mailcore.store import MessageRow, Store, lookup, messages
from tests.support.consumers import (
    Ear,
    acknowledged,
    consuming,
    event,
    eventually,
    kept_files,
    mail,
    temporary_files,
    until,
)
from tests.support.events import expunged
from tests.support.nats import NatsServer
from tests.support.postgres import Postgres
from tests.support.stores import KEY, query

T = TypeVar("T")

_UIDS = "SELECT uid FROM mailbox_app_mailmessage ORDER BY uid"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redeliveries at once."""
    monkeypatch.setattr(disposition, "_FIRST_DELAY", 0.01)


async def refuse_poison(url: str) -> None:
    """Let the database refuse rows whose subject is `poison`, as it refuses what a parser should have kept out."""
    if url.startswith("sqlite"):
        await query(
            url,
            "CREATE TRIGGER refuse BEFORE INSERT ON mailbox_app_mailmessage WHEN NEW.subject = 'poison'"
            " BEGIN SELECT RAISE(ABORT, 'poison'); END",
        )
    else:
        await query(url, "ALTER TABLE mailbox_app_mailmessage ADD CONSTRAINT refuse CHECK (subject <> 'poison')")


@pytest.mark.invariant("I5")
@pytest.mark.asyncio
async def test_a_refused_row_stops_nobody_and_ends_as_a_dead_letter(
    bus: Bus, ear: Ear, store: Store, store_url: str, media: Media, mailbox_id: int, impatient: None
) -> None:
    # I5
    await refuse_poison(store_url)
    poison = mail(13, subject="poison")
    for number in range(1, 31):
        ack = await bus.publish(event(number, body=poison) if number == 13 else event(number))
    with capture_logs() as lines:
        async with consuming(bus, store, media):
            await ear.count(29)
            (dead,) = await eventually(lambda: ear.dead, "the bad one is dead")
            await acknowledged(bus, ack.seq)
    # The others did not even have to come again.
    assert {line["identity"] for line in lines if line["event"] == "not-stored"} == {str(dead.identity)}
    assert [uid for (uid,) in await query(store_url, _UIDS)] == [n for n in range(1, 31) if n != 13]
    assert (dead.identity.uid, dead.deliveries) == (13, disposition.ATTEMPTS)
    assert "refused a row" in dead.error
    (letter,) = [each async for each in bus.dead_letters()]
    assert letter.identity == dead.identity


@pytest.mark.asyncio
async def test_what_stores_at_last_was_never_dead(
    bus: Bus, ear: Ear, store: Store, store_url: str, media: Media, mailbox_id: int, impatient: None
) -> None:
    await refuse_poison(store_url)
    with capture_logs() as lines:
        async with consuming(bus, store, media):
            await bus.publish(event(1, body=mail(1, subject="poison")))
            await eventually(lambda: [line for line in lines if line["event"] == "not-stored"], "given back")
            cure = (
                "DROP TRIGGER refuse"
                if store_url.startswith("sqlite")
                else ("ALTER TABLE mailbox_app_mailmessage DROP CONSTRAINT refuse")
            )
            await query(store_url, cure)
            await ear.count(1)
    assert ear.dead == []


@pytest.mark.asyncio
async def test_nul_in_a_flag_reaches_no_other_message(
    bus: Bus, ear: Ear, postgres_url: str, media: Media, impatient: None
) -> None:
    store = await Store.open(postgres_url)
    await store.upgrade()
    await store.save_mailbox(KEY, uidvalidity=7)
    async with consuming(bus, store, media):
        for number in range(1, 10):
            await bus.publish(event(number, flags=("a\0b",) if number == 5 else ()))
        await ear.count(8)
        await eventually(lambda: ear.dead or len(ear.stored) == 9, "the ninth is settled")
    await store.close()


@pytest.mark.invariant("I5")
@pytest.mark.asyncio
async def test_a_parser_that_raises_costs_one_message(
    bus: Bus, ear: Ear, store: Store, media: Media, mailbox_id: int, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = storing.draft

    def raising(identity: Identity, *rest: object) -> Draft:
        if identity.uid == 2:
            raise RecursionError("too deep")
        return real(identity, *rest)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(storing, "draft", raising)
    for number in (1, 2, 3):
        await bus.publish(event(number))
    with capture_logs() as lines:
        async with consuming(bus, store, media):
            await ear.count(2)
            (dead,) = await eventually(lambda: ear.dead, "the bad one is dead")
    assert (dead.uid, dead.deliveries) == (2, disposition.ATTEMPTS)
    assert "a fault of ours (RecursionError: too deep)" in dead.error
    assert dead.error.endswith(", see the log")
    (told,) = [line for line in lines if line["event"] == "fault"]
    assert 'raise RecursionError("too deep")' in told["exception"]


def bug(*_: object) -> NoReturn:
    raise TypeError("planted")


def met_by(wanted: object, real: Callable[..., T]) -> Callable[..., T]:
    """`real` with a bug that only what looks so meets."""
    return lambda *given, **named: bug() if str(wanted) in repr(given) else real(*given, **named)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("owner", "name", "meets"),
    [
        (storing, "decode", "13@example.org"),
        (lookup, "known", "uid=13"),
        (Media, "_write_share", "größe 13"),
        (storing, "message_row", "mail 13"),
        (messages, "add", "mail 13"),
    ],
    ids=["in-decoding", "in-a-look", "in-writing-files", "between", "in-a-transaction"],
)
async def test_a_bug_that_one_message_meets_costs_that_one_and_is_told_as_ours(
    bus: Bus,
    ear: Ear,
    store: Store,
    store_url: str,
    media: Media,
    mailbox_id: int,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    name: str,
    meets: str,
) -> None:
    # I5
    monkeypatch.setattr(owner, name, met_by(meets, getattr(owner, name)))
    for number in range(1, 31):
        ack = await bus.publish(event(number))
    with capture_logs() as lines:
        async with consuming(bus, store, media):
            await ear.count(29)
            await until(lambda: bus.dead_identities(), "the one is dead")
            await acknowledged(bus, ack.seq)
    assert [uid for (uid,) in await query(store_url, _UIDS)] == [n for n in range(1, 31) if n != 13]
    # The others did not even have to come again.
    assert {line["identity"] for line in lines if line["event"] == "not-stored"} == {str(event(13).identity)}
    (letter,) = [each async for each in bus.dead_letters()]
    assert (letter.identity, letter.deliveries) == (event(13).identity, disposition.ATTEMPTS)
    assert "a fault of ours (TypeError: planted)" in letter.error
    assert "refused a row" not in str(lines)
    (told,) = [line for line in lines if line["event"] == "fault"]
    assert 'raise TypeError("planted")' in told["exception"]
    assert "text of" not in told["exception"]


@pytest.mark.asyncio
async def test_a_bug_that_one_rebind_meets_keeps_no_other_from_being_rebound(
    bus: Bus,
    ear: Ear,
    store: Store,
    store_url: str,
    media: Media,
    mailbox_id: int,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in (1, 2, 3):
        await bus.publish(event(number))
    async with consuming(bus, store, media):
        await ear.count(3)
    monkeypatch.setattr(messages, "move", met_by("uidvalidity=8, uid=2)", messages.move))
    for number in (1, 2, 3):
        facts = {"account": KEY.account, "mailbox": KEY.mailbox, "at": event(1).published_at, "sha256": "a" * 64}
        await bus.publish(Rebind(**facts, uidvalidity=8, uid=number, origin=Origin(uidvalidity=7, uid=number)))
    with capture_logs() as lines:
        async with consuming(bus, store, media):
            (dead,) = await eventually(lambda: ear.dead, "the one is dead")
    assert (dead.uidvalidity, dead.uid) == (8, 2)
    assert await query(store_url, "SELECT uidvalidity, uid FROM mailbox_app_mailmessage ORDER BY uid") == [
        (8, 1),
        (7, 2),
        (8, 3),
    ]
    assert len([line for line in lines if line["event"] == "fault"]) == 1


@pytest.mark.asyncio
async def test_a_bug_that_one_expunged_event_meets_keeps_no_other_from_being_marked(
    bus: Bus,
    ear: Ear,
    store: Store,
    media: Media,
    mailbox_id: int,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in (1, 2, 3):
        await bus.publish(event(number))
    async with consuming(bus, store, media):
        await ear.count(3)
    real = messages.set_expunged
    monkeypatch.setattr(messages, "set_expunged", met_by("uid=2)", real))
    for number in (1, 2, 3):
        await bus.publish(expunged(number))

    async def left(wanted: list[int]) -> bool:
        return await store.stored_uids(mailbox_id, 7) == wanted

    with capture_logs() as lines:
        async with consuming(bus, store, media):
            await until(lambda: left([2]), "the others are marked")
            await eventually(lambda: len([one for one in lines if one["event"] == "not-marked"]) > 2, "it comes again")
            monkeypatch.setattr(messages, "set_expunged", real)
            await until(lambda: left([]), "it is marked when the bug is gone")
    assert {one["identity"] for one in lines if one["event"] == "not-marked"} == {str(event(2).identity)}
    assert len([one for one in lines if one["event"] == "fault"]) == 1


@pytest.mark.asyncio
async def test_a_dead_claim_check_keeps_its_bytes(
    bus: Bus, ear: Ear, store: Store, store_url: str, media: Media, mailbox_id: int, impatient: None, tmp_path: Path
) -> None:
    await refuse_poison(store_url)
    body = mail(1, subject="poison")
    (tmp_path / "spool").write_bytes(body)
    await bus.put_body("one", tmp_path / "spool")
    async with consuming(bus, store, media):
        await bus.publish(replace(event(1, body=body), body=b"", object_name="one"))
        await eventually(lambda: ear.dead, "dead")
    assert (await bus.dead_identities()).keys() == {event(1).identity}
    assert temporary_files(media.root) == set()


@pytest.mark.asyncio
async def test_what_is_no_event_of_ours_is_put_aside(
    bus: Bus, ear: Ear, store: Store, media: Media, mailbox_id: int
) -> None:
    good = event(2)
    wrong_size = {**event(1).headers(), "ce-size": "7"}
    async with consuming(bus, store, media):
        await bus._publisher.publish("mail.default.INBOX.new", {}, b"garbage")
        await bus._publisher.publish("mail.default.INBOX.rebind", {}, b"{}")
        await bus._publisher.publish(good.nats_subject, wrong_size, b"")
        await bus._publisher.publish("mail.default.Other.new", {**good.headers(), "Nats-Msg-Id": "x"}, good.body)
        ack = await bus.publish(good)
        await ear.count(1)
        await acknowledged(bus, ack.seq)
    assert ear.identities == {good.identity}
    # The two that name a message can be looked at; the others were nobody's.
    assert (await bus.dead_identities()).keys() == {event(1).identity, good.identity}


@pytest.mark.invariant("I8")
@pytest.mark.asyncio
async def test_while_the_database_is_down_messages_wait_and_then_all_are_stored(
    bus: Bus, ear: Ear, postgres: Postgres, postgres_url: str, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    # I8
    monkeypatch.setattr(retrying, "_LONGEST_PAUSE", 0.2)
    store = await Store.open(postgres_url)
    await store.upgrade()
    await store.save_mailbox(KEY, uidvalidity=7)
    with capture_logs() as lines:
        async with consuming(bus, store, media):
            await bus.publish(event(1))
            await ear.count(1)
            postgres.stop()
            try:
                for number in range(2, 51):
                    await bus.publish(event(number))
                await eventually(lambda: [line for line in lines if line["event"] == "waiting"], "the consumer waits")
                assert len(ear.identities) == 1
            finally:
                postgres.start()
            await ear.count(50)
    assert [uid for (uid,) in await query(postgres_url, _UIDS)] == list(range(1, 51))
    assert (ear.dead, len(ear.stored)) == ([], 50)
    assert [line for line in lines if line["event"] == "resumed"]
    await store.close()


@pytest.mark.asyncio
async def test_restarts_of_postgresql_in_the_midst_of_storing_lose_and_double_nothing(
    bus: Bus, ear: Ear, postgres: Postgres, postgres_url: str, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "_LONGEST_PAUSE", 0.2)
    store = await Store.open(postgres_url)
    await store.upgrade()
    await store.save_mailbox(KEY, uidvalidity=7)
    with capture_logs() as lines:
        async with consuming(bus, store, media, messages=5):
            for last in (200, 400, 600):
                some = last - 170
                await asyncio.gather(*(bus.publish(event(number)) for number in range(last - 199, last + 1)))
                await eventually(lambda some=some: len(ear.identities) >= some, "it is in the midst of storing")
                await asyncio.to_thread(postgres.stop)  # storing goes on meanwhile, until it cannot
                postgres.start()
            await ear.count(600, within=60)
    (counts,) = await query(postgres_url, "SELECT count(*), count(DISTINCT uid) FROM mailbox_app_mailmessage")
    assert counts == (600, 600)
    assert len(kept_files(media.root)) == 600
    assert ear.dead == []
    assert [line for line in lines if line["event"] == "waiting"], "no restart was felt: this test shows nothing"
    await store.close()


@pytest.mark.asyncio
async def test_a_consumer_can_be_stopped_while_the_database_is_down(
    bus: Bus, ear: Ear, postgres: Postgres, postgres_url: str, media: Media, nats_server: NatsServer
) -> None:
    store = await Store.open(postgres_url)
    await store.upgrade()
    await store.save_mailbox(KEY, uidvalidity=7)
    postgres.stop()
    try:
        with capture_logs() as lines:
            async with asyncio.timeout(10), consuming(bus, store, media):
                await bus.publish(event(1))
                await eventually(lambda: [line for line in lines if line["event"] == "waiting"], "the consumer waits")
    finally:
        postgres.start()
    other = await Bus.connect(nats_server.url, name="other")
    async with consuming(other, store, media):
        await ear.count(1, within=10)
    await other.close()
    await store.close()


@pytest.mark.asyncio
async def test_while_the_disk_takes_no_files_messages_wait(
    bus: Bus, ear: Ear, store: Store, store_url: str, media: Media, mailbox_id: int
) -> None:
    in_the_way = media.root / "mail_attachments"
    in_the_way.write_text("a file where a directory must be")
    with capture_logs() as lines:
        async with consuming(bus, store, media):
            for number in range(1, 6):
                await bus.publish(event(number))
            await eventually(lambda: [line for line in lines if line["event"] == "waiting"], "the consumer waits")
            assert await query(store_url, _UIDS) == []
            in_the_way.unlink()
            await ear.count(5)
    assert len(kept_files(media.root)) == 5
    assert ear.dead == []


@pytest.mark.asyncio
async def test_a_killed_nats_server_loses_and_doubles_nothing(
    bus: Bus, ear: Ear, nats_server: NatsServer, store: Store, store_url: str, media: Media, mailbox_id: int
) -> None:
    async with consuming(bus, store, media, messages=20):
        for first in range(1, 151, 50):
            await asyncio.gather(*(bus.publish(event(number)) for number in range(first, first + 50)))
            await asyncio.to_thread(nats_server.restart)

        async def all_there() -> bool:
            return await store.count_messages() == 150

        # ack_wait is a minute: what was delivered to the old connection comes again only then.
        await until(all_there, "150 rows", within=90)
    assert await query(store_url, "SELECT count(*), count(DISTINCT uid) FROM mailbox_app_mailmessage") == [(150, 150)]
    assert len(kept_files(media.root)) == 150


class Crash(BaseException):
    """The process ends here, as kill -9 ends it between two system calls."""


class Tripwire:
    """Crashes once, before or after the step it is told."""

    def __init__(self, step: str) -> None:
        self.step = step

    def pass_(self, step: str) -> None:
        if step == self.step:
            self.step = ""
            raise Crash(step)


class CrashingMedia(Media):
    wire: Tripwire

    async def write(self, files: Sequence[tuple[PurePosixPath, bytes]]) -> None:
        self.wire.pass_("before the files")
        await super().write(files)
        self.wire.pass_("between files and commit")


class CrashingStore(Store):
    wire: Tripwire

    async def insert_messages(self, rows: Sequence[MessageRow]) -> list[int]:
        ids = await super().insert_messages(rows)
        self.wire.pass_("between commit and event")
        return ids


class CrashingBus(Bus):
    wire: Tripwire

    async def publish_batch(self, events: Sequence[ThinEvent]) -> bool:
        self.wire.pass_("before the event")
        told = await super().publish_batch(events)
        self.wire.pass_("between event and ack")
        return told

    def pipeline(self, ended: Callable[[T, PubAck | BusError], None]) -> Pipeline[T]:
        def acknowledged(tag: T, outcome: PubAck | BusError) -> None:
            self.wire.pass_("between event and ack")
            ended(tag, outcome)

        pipeline = super().pipeline(acknowledged)
        send = pipeline.send

        async def tripping(tag: T, event: MessageEvent | ThinEvent) -> None:
            self.wire.pass_("before the event")
            await send(tag, event)

        pipeline.send = tripping  # type: ignore[method-assign]
        return pipeline


@pytest.mark.invariant("I2", "I4")
@pytest.mark.asyncio
@pytest.mark.parametrize(
    "step",
    [
        "before the files",
        "between files and commit",
        "between commit and event",
        "before the event",
        "between event and ack",
    ],
)
async def test_a_crash_at_any_step_and_a_new_start_are_as_good_as_no_crash(
    step: str,
    bus: Bus,
    ear: Ear,
    nats_server: NatsServer,
    store_url: str,
    tmp_path: Path,
    store: Store,
    mailbox_id: int,
) -> None:
    # I2, I4
    sent = [event(number) for number in range(1, 21)]
    await asyncio.gather(*(bus.publish(each) for each in sent))
    wire = Tripwire(step)
    crashing = await CrashingBus.connect(nats_server.url, name="crashing")
    crashing_store = await CrashingStore.open(store_url)
    crashing_media = CrashingMedia.open(tmp_path / "media")
    crashing.wire = crashing_store.wire = crashing_media.wire = wire
    with pytest.raises(BaseExceptionGroup) as caught:
        async with asyncio.timeout(20), consuming(crashing, crashing_store, crashing_media) as stop:
            await stop.wait()
    assert caught.group_contains(Crash)
    for close in (crashing.close, crashing_store.close):
        await close()
    crashing_media.close()

    media = Media.open(tmp_path / "media")
    async with consuming(bus, store, media):
        await ear.count(20)
        await acknowledged(bus, 20)
    media.close()
    found = await query(store_url, "SELECT uid, sha256 FROM mailbox_app_mailmessage ORDER BY uid")
    assert found == [(each.identity.uid, each.sha256) for each in sent]
    files = {path for (path,) in await query(store_url, "SELECT file FROM mailbox_app_mailattachment")}
    assert kept_files(tmp_path / "media") == files
    assert len(files) == 20
    assert len({told.id for told in ear.stored}) == 20
    rows = {(told.uid, told.row_id) for told in ear.stored}
    assert len(rows) == 20


@pytest.mark.asyncio
async def test_a_suspect_is_taken_alone_and_still_stored(
    bus: Bus, ear: Ear, nats_server: NatsServer, store: Store, media: Media, mailbox_id: int
) -> None:
    ack = await bus.publish(event(1))
    pull = await bus.pull("store")
    for _ in range(disposition.SUSPECT + 1):
        (delivery,) = await pull.next(timeout=5)
        delivery.nak()
    await pull.close()
    async with consuming(bus, store, media):
        await ear.count(1)
        await acknowledged(bus, ack.seq)


@pytest.mark.asyncio
async def test_a_message_that_nobody_ever_came_to_an_end_with_is_buried(
    bus: Bus, ear: Ear, store: Store, media: Media, mailbox_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disposition, "CRASHES", disposition.SUSPECT)
    await bus.publish(event(1))
    pull = await bus.pull("store")
    for _ in range(disposition.SUSPECT):
        (delivery,) = await pull.next(timeout=5)
        delivery.nak()
    await pull.close()
    async with consuming(bus, store, media):
        (dead,) = await eventually(lambda: ear.dead, "buried")
    assert "nobody came to an end with it" in dead.error
    assert (await bus.dead_identities()).keys() == {event(1).identity}


@pytest.mark.invariant("I4")
@pytest.mark.asyncio
@pytest.mark.usefixtures("impatient")
async def test_what_could_not_be_told_is_not_acknowledged_and_is_told_later(
    bus: Bus, store: Store, media: Media, mailbox_id: int
) -> None:
    # I4: `stored` comes at least once
    config = (await bus._jetstream.call(f"STREAM.INFO.{MAIL_EVENTS}"))["config"]
    await bus._jetstream.call(f"STREAM.UPDATE.{MAIL_EVENTS}", {**config, "max_msg_size": 10})
    with capture_logs() as lines:
        async with consuming(bus, store, media):
            await bus.publish(event(1))
            await eventually(lambda: [line for line in lines if line["event"] == "not-told"], "it could not be told")
            assert await store.count_messages() == 1
            await bus._jetstream.call(f"STREAM.UPDATE.{MAIL_EVENTS}", config)
            await acknowledged(bus, 1)
    assert (await bus.position(MAIL_EVENTS)).messages == 1


@pytest.mark.asyncio
async def test_what_a_consumer_waits_for_is_told_to_whoever_asks(
    bus: Bus, store: Store, media: Media, mailbox_id: int, ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "_PASSING", 0.1)
    assert "none answers" in (await metrics.waiting(bus)).faults["consumer"]
    await metrics.answer(bus, "consumer")
    (media.root / "mail_attachments").symlink_to(tmp_path)
    async with consuming(bus, store, media):
        await bus.publish(event(1))

        async def told() -> bool:
            return "is a symbolic link" in (await metrics.waiting(bus)).faults.get("consumer", "")

        await until(told, "the reason is told")
        (media.root / "mail_attachments").unlink()
        await ear.count(1)
    assert "consumer" not in (await metrics.waiting(bus)).faults
