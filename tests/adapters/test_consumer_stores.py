"""The consumer on a real nats-server, a real disk and both databases: what is stored, told, and told again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mailcore.bus import Bus
from mailcore.events.identity import MailboxKey
from mailcore.events.message import Kind, MessageEvent
from mailcore.events.thin import Expunged, Origin, Rebind
from mailcore.media import Media
from mailcore.store import MessageFilter, Store
from tests.support.consumers import (
    Ear,
    acknowledged,
    consuming,
    deliver_again,
    event,
    eventually,
    kept_files,
    mail,
    temporary_files,
    until,
)
from tests.support.events import NOW, flags
from tests.support.nats import NatsServer
from tests.support.stores import KEY, query


@pytest.mark.asyncio
async def test_a_message_becomes_a_row_and_a_file_and_is_told(
    bus: Bus, ear: Ear, store: Store, store_url: str, media: Media, mailbox_id: int
) -> None:
    sent = event(1)
    async with consuming(bus, store, media):
        ack = await bus.publish(sent)
        await ear.count(1)
        await acknowledged(bus, ack.seq)
    (told,) = ear.stored
    assert (told.identity, told.sha256, told.size) == (sent.identity, sent.sha256, sent.size)
    assert (told.kind, told.found_by, told.pushed_at) == (sent.kind, sent.found_by, sent.pushed_at)
    assert (told.attachments, told.rebound_from) == (1, None)
    rows = await query(
        store_url,
        "SELECT m.id, m.mailbox_id, m.uidvalidity, m.uid, m.subject, m.from_email, m.message_id, m.sha256, a.filename,"
        " a.part_id, a.file, a.sha256 FROM mailbox_app_mailmessage m JOIN mailbox_app_mailattachment a"
        " ON a.message_id = m.id",
    )
    (row,) = rows
    content = b"content of 1"
    assert row[:8] == (
        told.row_id,
        mailbox_id,
        7,
        1,
        "mail 1",
        "anna@example.org",
        "<1@example.org>",
        sent.sha256,
    )
    assert row[8] == "größe 1.pdf"
    assert row[11] == sha256(content).hexdigest()
    assert row[10].startswith("mail_attachments/2024/05/06/")
    assert kept_files(media.root) == {row[10]}
    assert (media.root / row[10]).read_bytes() == content
    assert temporary_files(media.root) == set()


@pytest.mark.asyncio
async def test_the_way_of_a_message_is_kept(bus: Bus, ear: Ear, store: Store, media: Media, mailbox_id: int) -> None:
    await bus.publish(event(1))
    sent = event(2, body=b"Content-Type: text/html\r\n\r\n<style>x</style>Gr&uuml;&szlig;e")
    ack = await bus.publish(sent)
    async with consuming(bus, store, media):
        await ear.count(2)
    detail = await store.message(next(each.row_id for each in ear.stored if each.uid == 2))
    assert detail is not None
    assert (detail.pushed_at, detail.published_at, detail.stream_seq) == (sent.pushed_at, sent.published_at, ack.seq)
    assert (detail.kind, detail.found_by) == (sent.kind, sent.found_by)
    assert [each.uid for each in (await store.list_messages(MessageFilter(query="grüße"))).messages] == [2]


@pytest.mark.invariant("I2")
@pytest.mark.asyncio
async def test_when_stored_is_heard_row_and_file_are_there(
    bus: Bus, ear: Ear, store: Store, store_url: str, media: Media, mailbox_id: int
) -> None:
    # I2. The look at the disk is made while the event is being heard; the one at the database right after it.
    files_at_event: list[int] = []
    ear.at_stored = lambda told: files_at_event.append(len(kept_files(media.root)))
    async with consuming(bus, store, media):
        for number in range(1, 11):
            await bus.publish(event(number))
            await ear.count(number)
            assert await query(store_url, "SELECT count(*) FROM mailbox_app_mailmessage") == [(number,)]
    assert files_at_event == list(range(1, 11))


@pytest.mark.asyncio
async def test_a_thousand_messages_in_batches_are_a_thousand_rows(
    bus: Bus, ear: Ear, store: Store, store_url: str, media: Media, mailbox_id: int
) -> None:
    sent = [
        event(number, body=mail(number, attachment=b"x" * number if number % 3 else None)) for number in range(1, 1001)
    ]
    await asyncio.gather(*(bus.publish(each) for each in sent))
    async with consuming(bus, store, media, messages=70, octets=200_000):
        await ear.count(1000, within=60)
    assert len(ear.stored) == 1000
    found = await query(store_url, "SELECT uid, sha256 FROM mailbox_app_mailmessage ORDER BY uid")
    assert found == [(each.identity.uid, each.sha256) for each in sent]
    files = await query(store_url, "SELECT file, size FROM mailbox_app_mailattachment")
    assert {(path, (media.root / path).stat().st_size) for path in kept_files(media.root)} == set(files)


@pytest.mark.asyncio
async def test_two_consumers_share_the_work_and_double_nothing(
    bus: Bus, ear: Ear, nats_server: NatsServer, store: Store, store_url: str, media: Media, mailbox_id: int
) -> None:
    other_bus = await Bus.connect(nats_server.url, name="other")
    other_store = await Store.open(store_url)
    other_media = Media.open(media.root)
    async with consuming(bus, store, media, messages=7), consuming(other_bus, other_store, other_media, messages=7):
        await asyncio.gather(*(bus.publish(event(number)) for number in range(1, 201)))
        await ear.count(200)
    assert await query(store_url, "SELECT count(*), count(DISTINCT uid) FROM mailbox_app_mailmessage") == [(200, 200)]
    assert len(kept_files(media.root)) == 200
    other_media.close()
    await other_store.close()
    await other_bus.close()


@pytest.mark.invariant("I4")
@pytest.mark.asyncio
async def test_a_redelivery_rewrites_nothing_and_tells_the_same(
    bus: Bus, ear: Ear, store: Store, store_url: str, media: Media, mailbox_id: int
) -> None:
    async with consuming(bus, store, media):
        await bus.publish(event(1))
        await ear.count(1)
        (before,) = [(media.root / path).stat() for path in kept_files(media.root)]
        await deliver_again(bus, event(1))
        await eventually(lambda: len(ear.stored) == 2, "told again")
    first, second = ear.stored
    assert (first.id, first.row_id, first.sha256, first.attachments) == (
        second.id,
        second.row_id,
        second.sha256,
        second.attachments,
    )
    (after,) = [(media.root / path).stat() for path in kept_files(media.root)]
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert await query(store_url, "SELECT count(*) FROM mailbox_app_mailmessage") == [(1,)]


@pytest.mark.asyncio
async def test_the_mailbox_row_may_come_after_the_message(bus: Bus, ear: Ear, store: Store, media: Media) -> None:
    with capture_logs() as lines:
        async with consuming(bus, store, media):
            await bus.publish(event(1))
            await eventually(lambda: [line for line in lines if line["event"] == "not-stored"], "given back")
            await store.save_mailbox(KEY, uidvalidity=7)
            await ear.count(1)
    assert ear.dead == []


@pytest.mark.asyncio
async def test_a_large_message_comes_through_the_object_store(
    bus: Bus, ear: Ear, store: Store, store_url: str, media: Media, mailbox_id: int, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 40_000
    body = mail(1, attachment=content)
    spool = tmp_path / "spool"
    spool.write_bytes(body)
    sent = event(1, body=body)
    async with consuming(bus, store, media):
        await bus.put_body("one", spool)
        await bus.publish(replace(sent, body=b"", object_name="one"))
        await bus.publish(event(2))
        await ear.count(2)
    assert await query(store_url, "SELECT size, sha256 FROM mailbox_app_mailmessage WHERE uid = 1") == [
        (len(body), sent.sha256)
    ]
    ((path,),) = await query(store_url, f"SELECT file FROM mailbox_app_mailattachment WHERE size = {len(content)}")
    assert (media.root / path).read_bytes() == content
    assert temporary_files(media.root) == set()


@pytest.mark.asyncio
async def test_an_expired_claim_check_is_dropped_for_the_syncer_to_fetch_anew(
    bus: Bus, ear: Ear, store: Store, media: Media, mailbox_id: int
) -> None:
    async with consuming(bus, store, media):
        ack = await bus.publish(replace(event(1), body=b"", object_name="gone"))
        await acknowledged(bus, ack.seq)
    assert (ear.stored, ear.dead) == ([], [])
    assert await bus.dead_identities() == {}
    assert await store.stored_uids(mailbox_id, 7) == []


@pytest.mark.invariant("I7")
@pytest.mark.asyncio
async def test_a_rebind_gives_the_row_its_new_identity_and_is_repeatable(
    bus: Bus, ear: Ear, store: Store, store_url: str, media: Media, mailbox_id: int
) -> None:
    # I7
    sent = event(1)
    rebind = Rebind(
        account=KEY.account,
        mailbox=KEY.mailbox,
        at=sent.published_at,
        uidvalidity=8,
        uid=5,
        origin=Origin(uidvalidity=7, uid=1),
        sha256=sent.sha256,
    )
    async with consuming(bus, store, media):
        await bus.publish(sent)
        await ear.count(1)
        files = kept_files(media.root)
        for seen in (2, 3):
            await deliver_again(bus, rebind, mark=f"{seen}")
            await eventually(partial(ear.heard, seen), "rebound")
        await deliver_again(bus, sent)
        await eventually(lambda: len(ear.stored) == 4, "the old identity was told again")
    first, *rebound, again = ear.stored
    for told in rebound:
        assert (told.identity, told.row_id, told.rebound_from) == (rebind.identity, first.row_id, rebind.origin)
        assert (told.kind, told.sha256, told.attachments) == (None, sent.sha256, 1)
    assert (again.identity, again.row_id) == (sent.identity, first.row_id)
    assert await query(store_url, "SELECT uidvalidity, uid FROM mailbox_app_mailmessage") == [(8, 5)]
    assert kept_files(media.root) == files


@pytest.mark.asyncio
async def test_a_rebind_of_what_the_database_lost_is_acknowledged_and_told_to_nobody(
    bus: Bus, ear: Ear, store: Store, media: Media, mailbox_id: int
) -> None:
    rebind = Rebind(
        account=KEY.account,
        mailbox=KEY.mailbox,
        at=event(1).published_at,
        uidvalidity=8,
        uid=5,
        origin=Origin(uidvalidity=7, uid=1),
        sha256="a" * 64,
    )
    async with consuming(bus, store, media):
        ack = await bus.publish(rebind)
        await acknowledged(bus, ack.seq)
    assert ear.stored == []


@pytest.mark.asyncio
async def test_expunged_messages_stay_and_may_come_back(
    bus: Bus, ear: Ear, store: Store, media: Media, mailbox_id: int
) -> None:
    sent = event(1)
    gone = Expunged(
        account=KEY.account, mailbox=KEY.mailbox, at=sent.published_at + timedelta(hours=1), uidvalidity=7, uid=1
    )

    async def uids(wanted: list[int]) -> None:
        async def there() -> bool:
            return await store.stored_uids(mailbox_id, 7) == wanted

        await until(there, f"stored and not expunged are {wanted}")

    async with consuming(bus, store, media):
        await bus.publish(sent)
        await uids([1])
        await bus.publish(gone)
        await uids([])
        # An old event that comes late proves nothing …
        await deliver_again(bus, sent)
        await eventually(lambda: len(ear.stored) == 2, "told again")
        assert await store.stored_uids(mailbox_id, 7) == []
        # … one that is younger than the mark does: the server has the message.
        await deliver_again(bus, replace(sent, published_at=gone.at + timedelta(hours=1)), mark="back")
        await uids([1])


@pytest.mark.asyncio
async def test_the_latest_flags_win_in_whatever_order_they_come_and_however_often(
    bus: Bus, ear: Ear, store: Store, media: Media, mailbox_id: int
) -> None:
    async def becomes(uid: int, *wanted: str) -> None:
        async def so() -> bool:
            return {*(await store.flags_of(mailbox_id, 7, [uid]))[uid].flags} == {*wanted}

        await until(so, f"the flags of {uid} are {wanted}")

    later, last = NOW + timedelta(seconds=1), NOW + timedelta(seconds=2)
    async with consuming(bus, store, media):
        for uid in (1, 2, 3):
            await bus.publish(event(uid))
        await ear.count(3)
        await bus.publish(flags(1, "\\Seen", at=later, modseq=5))
        await becomes(1, "\\Seen")
        await bus.publish(flags(1, at=last, modseq=6))
        await becomes(1)
        await deliver_again(bus, flags(1, "\\Seen", at=later, modseq=5))
        await bus.publish(flags(2, "\\Flagged", at=last, modseq=8))
        await bus.publish(flags(2, "\\Answered", at=later, modseq=7))
        await bus.publish(flags(99, "\\Seen", at=last))  # nobody knows it: no row, and no trouble
        await bus.publish(flags(3, "\\Seen", at=last))
        await becomes(3, "\\Seen")
        await until(partial(_nothing_waits, bus), "all are settled")
        await becomes(1)
        await becomes(2, "\\Flagged")
    rows = await store.flags_of(mailbox_id, 7, range(1, 100))
    assert {uid: row.flags_at for uid, row in rows.items()} == dict.fromkeys((1, 2, 3), last)


async def _nothing_waits(bus: Bus) -> bool:
    return (await bus.settled("flags"))[1] == 0


@pytest.mark.asyncio
async def test_what_is_no_flags_event_is_told_and_stops_nothing(
    bus: Bus, ear: Ear, store: Store, media: Media, mailbox_id: int
) -> None:
    async with consuming(bus, store, media):
        await bus.publish(event(1))
        await ear.count(1)
        with capture_logs() as logs:
            await bus._publisher.publish("mail.default.INBOX.flags", {}, b'{"flags": "no"}')
            await bus.publish(flags(1, "x", at=NOW))

            async def marked() -> bool:
                return (await store.flags_of(mailbox_id, 7, [1]))[1].flags == ("x",)

            await until(marked, "the next one is applied")
        assert [one["event"] for one in logs if one["log_level"] == "error"] == ["not-an-event"]


@pytest.mark.asyncio
async def test_stopping_gives_back_what_is_not_stored(
    bus: Bus, ear: Ear, nats_server: NatsServer, store: Store, media: Media
) -> None:
    # Without a mailbox row nothing can be stored; whoever comes next has the messages at once, not after ack_wait.
    async with consuming(bus, store, media):
        for number in range(1, 6):
            await bus.publish(event(number))
    await store.save_mailbox(KEY, uidvalidity=7)
    other = await Bus.connect(nats_server.url, name="other")
    async with consuming(other, store, media):
        await ear.count(5, within=20)
    await other.close()


@pytest.mark.asyncio
async def test_new_mail_does_not_wait_behind_a_backfill(
    bus: Bus, ear: Ear, store: Store, media: Media, mailbox_id: int
) -> None:
    old = [event(number, kind=Kind.BACKFILL) for number in range(1, 601)]
    await asyncio.gather(*(bus.publish(each) for each in old))
    async with consuming(bus, store, media, messages=20, batches=1):
        await ear.count(1)
        await bus.publish(event(1000))
        await eventually(lambda: event(1000).identity in ear.identities, "the new one is stored")
        assert len(ear.identities) < 600
        await ear.count(601, within=60)


def copy_of(first: MessageEvent, uid: int, mailbox: str = "Archive") -> MessageEvent:
    identity = replace(first.identity, mailbox=mailbox, uid=uid)
    return replace(first, identity=identity, kind=Kind.COPY, origin=first.identity)


@pytest.mark.asyncio
@pytest.mark.parametrize("together", [True, False])
async def test_a_copy_has_a_row_of_its_own_and_hard_links_to_the_files_of_the_first(
    bus: Bus, ear: Ear, store: Store, store_url: str, media: Media, mailbox_id: int, together: bool
) -> None:
    await store.save_mailbox(MailboxKey("default", "Archive"), uidvalidity=7)
    first = event(1, kind=Kind.BACKFILL)
    sent = [first, copy_of(first, 5), copy_of(first, 6)]
    if not together:
        async with consuming(bus, store, media):
            await bus.publish(sent.pop(0))
            await ear.count(1)
    for one in sent:
        await bus.publish(one)
    async with consuming(bus, store, media):
        await ear.count(3)
        files = sorted(kept_files(media.root))
        assert len(files) == 3
        assert len({(media.root / file).stat().st_ino for file in files}) == 1
        rows = await query(store_url, "SELECT kind, origin FROM mailbox_app_mailmessage ORDER BY uid")
        assert rows == [("backfill", None)] + 2 * [("copy", str(first.identity))]
        told = {one.uid: one for one in ear.stored}
        assert [told[uid].origin for uid in (1, 5, 6)] == [None, str(first.identity), str(first.identity)]
        assert [[file.file in files for file in told[uid].files] for uid in (1, 5, 6)] == [[True]] * 3
        await deliver_again(bus, copy_of(first, 5))
        await eventually(lambda: len(ear.stored) == 4, "told again")
        assert ear.stored[-1].model_copy(update={"at": told[5].at}) == told[5], (
            "a redelivery tells the same, out of the row"
        )


@pytest.mark.asyncio
async def test_a_copy_whose_first_is_not_stored_or_was_pruned_has_files_all_the_same(
    bus: Bus, ear: Ear, store: Store, media: Media, mailbox_id: int
) -> None:
    first = event(1)
    async with consuming(bus, store, media):
        await bus.publish(copy_of(first, 5, "INBOX"))
        await ear.count(1)
        await bus.publish(first)
        await ear.count(2)
    ids = [one.row_id for one in ear.stored if one.uid == 1]
    await media.remove([file.file for one in ear.stored if one.uid == 1 for file in one.files])
    await store.prune(ids, NOW)
    async with consuming(bus, store, media):
        await bus.publish(copy_of(first, 6, "INBOX"))
        await ear.count(3)
    contents = {(media.root / file).read_bytes() for file in kept_files(media.root)}
    assert (len(kept_files(media.root)), contents) == (2, {b"content of 1"})
