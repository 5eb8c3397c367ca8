"""Mailboxes are made, renamed and deleted while the program runs, and while it does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from mailcore.bus import Bus
from mailcore.events.subject import parse_subject
from tests.support.dovecot import Dovecot, quoted
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import wait_until

Make = Callable[..., Mozzart]


def places(mozzart: Mozzart) -> set[tuple[str, int, int]]:
    """Mailbox, UID and row of what is on the server as far as the database knows."""
    return {
        (row["mailbox"], row["uid"], row["id"])
        for row in mozzart.rows(
            "SELECT s.mailbox, m.uid, m.id FROM mailbox_app_mailmessage m JOIN mailbox_app_mailboxstate s"
            " ON s.id = m.mailbox_id WHERE m.expunged_at IS NULL"
        )
    }


async def heard(url: str) -> list[tuple[str, str, bytes]]:
    """Type, mailbox and payload of all that was published until now, each stream in its order."""
    bus = await Bus.connect(url, name="test")
    try:
        left = {stream: (await bus.position(stream)).last_seq for stream in ("MAIL", "MAIL_BACKFILL", "MAIL_EVENTS")}
        found: list[tuple[str, str, bytes]] = []
        async with asyncio.timeout(30), aclosing(bus.tail("mail.*.*.*", since="all")) as deliveries:
            while any(left.values()):
                delivery = await anext(deliveries)
                key, kind = parse_subject(delivery.subject)
                found.append((kind, key.mailbox, delivery.data))
                if delivery.seq >= left[delivery.stream]:
                    left[delivery.stream] = 0
        return found
    finally:
        await bus.close()


def events(mozzart: Mozzart, *types: str) -> list[dict[str, Any]]:
    """Thin ones, of these types."""
    url = (mozzart.home / "data" / "nats.url").read_text().strip()
    return [json.loads(data) for kind, _, data in asyncio.run(heard(url)) if kind in types]


def new(mozzart: Mozzart) -> list[tuple[str, str]]:
    """How each message was announced, and where."""
    url = (mozzart.home / "data" / "nats.url").read_text().strip()
    kinds = ("new", "backfill", "copy", "rebind")
    return [(kind, mailbox) for kind, mailbox, _ in asyncio.run(heard(url)) if kind in kinds]


def running(make: Make, dovecot: Dovecot, **changes: str) -> Mozzart:
    return make(IMAP_MAILBOX="*", SYNC_INTERVAL="2", **changes).use(dovecot).start().wait_ready()


def wait_swept(mozzart: Mozzart, count: int) -> None:
    """Until so many mailboxes are known, and each was swept."""

    def swept() -> bool:
        states = mozzart.http("GET", "/api/mailbox/states/").json["mailboxes"]
        return len(states) == count and all(state.get("last_sync_status") == "ok" for state in states)

    wait_until(swept, "all are swept", within=60, every=0.1)


@pytest.mark.invariant("I1", "I4")
def test_a_renamed_mailbox_keeps_its_rows_and_announces_no_message_also_of_what_is_in_flight(
    dovecot: Dovecot, make_mozzart: Make
) -> None:
    dovecot.create("Projects")
    dovecot.append(make_mail(1).raw, "Projects")
    mozzart = running(make_mozzart, dovecot)
    mozzart.wait_stored(1)
    mozzart.wait_live("idling")
    ((_, _, row),) = places(mozzart)

    consumer = mozzart.processes()["consumer"]
    consumer.suspend()
    flying = dovecot.append(make_mail(2).raw, "Projects")
    wait_until(lambda: len(new(mozzart)) == 2, "the second one is published")
    with dovecot.connect() as connection:
        connection.rename("Projects", "Work")
    wait_until(lambda: events(mozzart, "mailbox-renamed"), "the rename is told", within=30)
    consumer.resume()

    mozzart.wait_stored(2)
    wait_until(lambda: {name for name, _, _ in places(mozzart)} == {"Work"}, lambda: str(places(mozzart)))
    assert ("Work", 1, row) in places(mozzart)
    assert ("Work", flying) in {(name, uid) for name, uid, _ in places(mozzart)}
    (told,) = events(mozzart, "mailbox-renamed")
    assert (told["old"], told["new"], told["mailbox"]) == ("Projects", "Work", "Work")
    dovecot.append(make_mail(3).raw, "Work")
    mozzart.wait_stored(3)
    assert new(mozzart) == [("backfill", "Projects"), ("new", "Projects"), ("new", "Work")]
    assert events(mozzart, "expunged", "mailbox-deleted") == []
    assert mozzart.run("sync").returncode == 0
    assert mozzart.run("verify").returncode == 0


def test_what_happened_to_mailboxes_while_nobody_looked_is_found_at_the_start(
    dovecot: Dovecot, make_mozzart: Make
) -> None:
    for name in ("Old", "Gone", "Twin"):
        dovecot.create(name)
        dovecot.append(make_mail(ord(name[0])).raw, name)
    mozzart = running(make_mozzart, dovecot)
    mozzart.wait_stored(3)
    before = {name: row for name, _, row in places(mozzart)}
    mozzart.stop()

    with dovecot.connect() as connection:
        connection.rename("Old", "New")
    dovecot.delete("Gone")
    dovecot.create("Young")
    dovecot.append(make_mail(99).raw, "Young")
    dovecot.append(make_mail(100).raw, "Twin")
    dovecot.append(make_mail(101).raw)
    mozzart.start().wait_ready()

    wait_until(
        lambda: sorted(name for name, _, _ in places(mozzart)) == ["INBOX", "New", "Twin", "Twin", "Young"],
        lambda: f"{places(mozzart)}\n{mozzart.log_text()[-3000:]}",
        within=30,
    )
    now = {name: row for name, uid, row in places(mozzart) if uid == 1}
    assert (now["New"], now["Twin"]) == (before["Old"], before["Twin"])
    wait_until(lambda: events(mozzart, "mailbox-deleted"), "the deletion is told")
    assert [one["mailbox"] for one in events(mozzart, "mailbox-deleted")] == ["Gone"]
    assert [one["mailbox"] for one in events(mozzart, "expunged")] == ["Gone"]
    assert [one["mailbox"] for one in events(mozzart, "mailbox-created")] == ["Young"]
    assert sorted(new(mozzart)[3:]) == [("new", "INBOX"), ("new", "Twin"), ("new", "Young")]
    states = mozzart.http("GET", "/api/mailbox/states/").json["mailboxes"]
    assert {state["mailbox"] for state in states} == {"INBOX", "New", "Twin", "Young"}
    assert mozzart.run("verify").returncode == 0


def test_a_sync_by_hand_knows_mailboxes_that_were_made_and_deleted_since(dovecot: Dovecot, make_mozzart: Make) -> None:
    dovecot.create("Gone")
    dovecot.append(make_mail(1).raw, "Gone")
    mozzart = make_mozzart(IMAP_MAILBOX="*", SYNC_INTERVAL="600").use(dovecot).start().wait_ready()
    mozzart.wait_stored(1)

    dovecot.create("Young")
    dovecot.append(make_mail(2).raw, "Young")
    dovecot.delete("Gone")
    done = mozzart.run("sync")

    assert done.returncode == 0, done.stdout + done.stderr
    mozzart.wait_stored(1)
    wait_until(lambda: {name for name, _, _ in places(mozzart)} == {"Young"}, lambda: str(places(mozzart)))
    dovecot.create("Younger")
    assert mozzart.run("sync", "--mailbox", "Younger").returncode == 0


def test_a_mailbox_with_the_name_of_one_that_was_deleted_is_another_one(dovecot: Dovecot, make_mozzart: Make) -> None:
    dovecot.create("Box")
    dovecot.append(make_mail(1, files=(100,)).raw, "Box")
    mozzart = running(make_mozzart, dovecot)
    mozzart.wait_stored(1)
    dovecot.delete("Box")
    wait_until(lambda: mozzart.stored() == 0, "it is gone")

    dovecot.create("Box")
    dovecot.append(make_mail(2).raw, "Box")
    mozzart.wait_stored(1)

    rows = mozzart.rows("SELECT subject FROM mailbox_app_mailmessage WHERE expunged_at IS NULL")
    assert [row["subject"] for row in rows] == [make_mail(2).subject]
    assert mozzart.run("verify").returncode == 0


def test_a_hundred_mailboxes_in_which_nothing_happens_cost_one_round_trip_an_interval(
    dovecot: Dovecot, make_mozzart: Make
) -> None:
    with dovecot.connect() as connection:
        for number in range(99):
            connection.create(quoted(f"Box {number}"))
    trace = dovecot.home / "trace"
    mozzart = running(make_mozzart, dovecot, IMAP_CONNECTIONS="3", IMAP_TRACE=str(trace))

    wait_swept(mozzart, 100)

    def commands() -> list[str]:
        lines = trace.read_text().splitlines()
        return [line for line in lines if line.split()[2] == "C:"]

    def lists() -> int:
        return sum(" LIST " in line for line in commands())

    settled = lists() + 2  # the first ones after the start
    wait_until(lambda: lists() >= settled, "some lists", within=30)
    start = len(commands())
    wait_until(lambda: lists() >= settled + 3, "three more", within=30)
    asked = commands()[start:]
    print(f"{len(asked)} commands in three intervals of 100 mailboxes")
    others = [line for line in asked if " LIST " not in line and "IDLE" not in line and "DONE" not in line]
    assert len(others) <= 4, asked


def test_mailboxes_beyond_the_bound_of_connections_are_pushed_by_notify(
    make_dovecot: Callable[..., Dovecot], make_mozzart: Make
) -> None:
    dovecot = make_dovecot()
    names = [f"Box {number}" for number in range(8)]
    for name in names:
        dovecot.create(name)
    trace = dovecot.home / "trace"
    mozzart = make_mozzart(IMAP_MAILBOX="*", SYNC_INTERVAL="600", IMAP_CONNECTIONS="3", IMAP_TRACE=str(trace))
    mozzart.use(dovecot).start().wait_ready().wait_live("idling")
    wait_swept(mozzart, 9)
    wait_until(
        lambda: {one["connection"] for one in mozzart.live()} == {"idling", "notified"}, lambda: str(mozzart.live())
    )

    for number, name in enumerate(names):
        dovecot.append(make_mail(number).raw, name)
    mozzart.wait_stored(len(names), within=20)
    assert {kind for kind, _ in new(mozzart)} == {"new"}
    fetched = [line for line in trace.read_text().splitlines() if " UID FETCH " in line and "RFC822.SIZE" in line]
    assert len(fetched) == len(names), fetched  # at once, without a look at what there is to fetch

    dovecot.create("Young")  # Dovecot 2.3 notifies of CREATE and DELETE, and not of RENAME
    dovecot.append(make_mail(99).raw, "Young")
    dovecot.expunge(1, mailbox="Box 2")
    wait_until(lambda: "Young" in {name for name, _, _ in places(mozzart)}, "its mail is pushed", within=20)
    wait_until(lambda: "Box 2" not in {name for name, _, _ in places(mozzart)}, "what is gone is told", within=20)


def test_the_only_mailbox_that_is_asked_for_is_deleted_and_waited_for(dovecot: Dovecot, make_mozzart: Make) -> None:
    dovecot.create("Box")
    dovecot.append(make_mail(1).raw, "Box")
    mozzart = make_mozzart(IMAP_MAILBOX="Box", SYNC_INTERVAL="1").use(dovecot).start().wait_ready()
    mozzart.wait_stored(1)

    dovecot.delete("Box")
    wait_until(lambda: events(mozzart, "mailbox-deleted"), "the deletion is told", within=40)
    wait_until(lambda: mozzart.stored() == 0, "it is expunged")

    dovecot.create("Box")
    dovecot.append(make_mail(2).raw, "Box")
    mozzart.wait_stored(1, within=60)
    assert new(mozzart) == [("backfill", "Box"), ("new", "Box")]


@pytest.mark.invariant("I1")
def test_a_mailbox_with_the_uidvalidity_and_the_uids_of_one_that_is_missing_and_other_bytes_is_another_one(
    dovecot: Dovecot, make_mozzart: Make
) -> None:
    dovecot.create("Old")
    for number in range(3):
        dovecot.append(make_mail(number).raw, "Old")
    mozzart = running(make_mozzart, dovecot)
    mozzart.wait_stored(3)
    mozzart.stop()

    uidvalidity = dovecot.uidvalidity("Old")
    dovecot.delete("Old")
    dovecot.create("Other")
    for number in range(10, 13):
        dovecot.append(make_mail(number).raw, "Other")
    dovecot.doveadm("mailbox", "update", "--uid-validity", str(uidvalidity), "Other")
    assert (dovecot.uidvalidity("Other"), dovecot.uids("Other")) == (uidvalidity, [1, 2, 3])
    mozzart.start().wait_ready()

    wait_until(lambda: {name for name, _, _ in places(mozzart)} == {"Other"}, lambda: str(places(mozzart)), within=30)
    mozzart.wait_stored(3)
    assert events(mozzart, "mailbox-renamed") == []
    assert new(mozzart)[3:] == [("new", "Other")] * 3
