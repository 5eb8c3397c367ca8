"""What people and rules do with their mail is announced as `copy`, and new mail as `new` once: a real Dovecot."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import wait_until

MESSAGES = (
    "SELECT m.id, b.mailbox || '/' || m.uid AS place, m.kind, m.origin, m.expunged_at FROM mailbox_app_mailmessage m"
    " JOIN mailbox_app_mailboxstate b ON b.id = m.mailbox_id"
)
FILES = "SELECT file FROM mailbox_app_mailattachment WHERE message_id = ?"


def move(dovecot: Dovecot, uid: int, command: str = "MOVE") -> None:
    with dovecot.connect("INBOX") as connection:
        assert connection.uid(command, str(uid), "Archive")[0] == "OK"


def idling(mozzart: Mozzart) -> int:
    return sum(one["connection"] == "idling" for one in mozzart.live())


def kinds(mozzart: Mozzart) -> dict[str, str]:
    """By mailbox and UID."""
    return {row["place"]: row["kind"] for row in mozzart.rows(MESSAGES)}


def linked(mozzart: Mozzart, one: str, other: str) -> bool:
    """Whether the files of two messages are those of one."""
    ids = {row["place"]: row["id"] for row in mozzart.rows(MESSAGES)}
    inodes = [
        [(mozzart.media / row["file"]).stat().st_ino for row in mozzart.rows(FILES, ids[place])]
        for place in (one, other)
    ]
    return bool(inodes[0]) and inodes[0] == inodes[1]


@pytest.mark.timeout(180)
def test_moved_copied_and_filed_twice_mail_is_new_once(dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]) -> None:
    dovecot.create("Archive")
    dovecot.create("Rule")
    mails = [make_mail(number, files=(5_000,)) for number in range(4)]
    dovecot.append(mails[0].raw)
    mozzart = make_mozzart(SYNC_INTERVAL="2", IMAP_MAILBOX="INBOX,Archive,Rule").use(dovecot).start().wait_ready()
    wait_until(lambda: idling(mozzart) == 3, "every mailbox is idling", within=30)
    mozzart.wait_stored(1)

    dovecot.append(mails[1].raw)
    wait_until(lambda: kinds(mozzart) == {"INBOX/1": "backfill", "INBOX/2": "new"}, "the new one is stored", within=20)
    move(dovecot, 2)
    move(dovecot, 1, "COPY")
    told = {"INBOX/1": "backfill", "INBOX/2": "new", "Archive/1": "copy", "Archive/2": "copy"}
    wait_until(lambda: kinds(mozzart) == told, "moved and copied ones are copies", within=20)
    assert linked(mozzart, "INBOX/2", "Archive/1")
    assert linked(mozzart, "INBOX/1", "Archive/2")
    (row,) = [row for row in mozzart.rows(MESSAGES) if row["place"] == "Archive/1"]
    assert row["origin"] == f"default/INBOX/{dovecot.uidvalidity()}/2"
    assert f"copy of {row['origin']}" in mozzart.run("messages", "show", str(row["id"])).stdout
    page = mozzart.http("GET", f"/admin/messages/{row['id']}/")
    assert f"A copy of UID 2 of {dovecot.uidvalidity()} in INBOX" in page.text

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda mailbox: dovecot.append(mails[2].raw, mailbox), ("INBOX", "Rule")))
    wait_until(lambda: {"INBOX/3", "Rule/1"} <= kinds(mozzart).keys(), "both are stored", within=20)
    assert sorted(kinds(mozzart)[place] for place in ("INBOX/3", "Rule/1")) == ["copy", "new"]

    mozzart.stop()
    move(dovecot, 3)
    mozzart.start().wait_ready()
    wait_until(lambda: kinds(mozzart).get("Archive/3") == "copy", "what was moved meanwhile is a copy", within=30)
    assert sorted(kinds(mozzart).values()).count("new") == 2
    wait_until(lambda: mozzart.run("verify").returncode == 0, "both sides are equal", within=30)


@pytest.mark.timeout(120)
def test_a_message_in_flight_is_known_to_the_syncer_that_comes_after(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    dovecot.create("Archive")
    mozzart = make_mozzart(SYNC_INTERVAL="2", IMAP_MAILBOX="INBOX,Archive").use(dovecot).start().wait_ready()
    wait_until(lambda: idling(mozzart) == 2, "every mailbox is idling", within=30)
    consumer = mozzart.processes()["consumer"]
    consumer.suspend()
    try:
        dovecot.append(make_mail(1, files=(5_000,)).raw)
        wait_until(lambda: sum(one["in_flight"] for one in mozzart.live()) == 1, "it is in flight", within=20)
        move(dovecot, 1)
        mozzart.kill("syncer")
        wait_until(lambda: sum(one["in_flight"] for one in mozzart.live()) == 2, "both are in flight", within=40)
    finally:
        consumer.resume()
    wait_until(lambda: kinds(mozzart) == {"INBOX/1": "new", "Archive/1": "copy"}, "new once", within=40)
