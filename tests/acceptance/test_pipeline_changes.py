"""The server's mailbox changes under us: expunges, a new UIDVALIDITY."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable

import pytest

from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import wait_until


def test_expunged_messages_keep_their_row_with_the_time_it_was_noticed(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mails = [make_mail(number, files=(100,)) for number in range(5)]
    sent = dict(zip(dovecot.append_many([mail.raw for mail in mails]), mails, strict=True))
    mozzart = make_mozzart(SYNC_INTERVAL="2").use(dovecot).start().wait_ready()
    mozzart.wait_stored(5)
    gone = sorted(sent)[1:3]

    dovecot.expunge(*gone)
    wait_until(lambda: mozzart.stored() == 3, "two rows are marked expunged", within=20)

    assert len(mozzart.rows("SELECT id FROM mailbox_app_mailmessage")) == 5
    for uid in gone:
        del sent[uid]
    mozzart.check_complete(sent)


@pytest.mark.invariant("I7")
def test_a_new_uidvalidity_rebinds_the_rows_and_doubles_nothing(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mails = [make_mail(number, files=(100,)) for number in range(6)]
    sent = dict(zip(dovecot.append_many([mail.raw for mail in mails]), mails, strict=True))
    mozzart = make_mozzart(SYNC_INTERVAL="2").use(dovecot).start().wait_ready()
    mozzart.wait_stored(6)
    ids = [row["id"] for row in mozzart.rows("SELECT id FROM mailbox_app_mailmessage ORDER BY id")]

    uidvalidity = dovecot.change_uidvalidity()
    late = make_mail(99, files=(100,))
    sent[dovecot.append(late.raw)] = late
    query = "SELECT id FROM mailbox_app_mailmessage WHERE uidvalidity = ? AND expunged_at IS NULL ORDER BY id"
    wait_until(lambda: len(mozzart.rows(query, uidvalidity)) == 7, "seven rows of the new generation", within=40)

    assert dovecot.uids() == sorted(sent)
    mozzart.check_complete(sent)
    assert [row["id"] for row in mozzart.rows(query, uidvalidity)][:6] == ids, "the same rows, under new identities"
    state = mozzart.rows("SELECT uidvalidity FROM mailbox_app_mailboxstate")
    assert [row["uidvalidity"] for row in state] == [uidvalidity]


def test_what_retention_emptied_is_neither_missing_nor_fetched_again(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mails = [make_mail(number, files=(100,)) for number in range(5)]
    uids = dovecot.append_many([mail.raw for mail in mails])
    mozzart = make_mozzart(MESSAGES_MAX_AGE="30").use(dovecot).start().wait_ready()
    mozzart.wait_stored(5)
    mozzart.stop()
    with contextlib.closing(sqlite3.connect(mozzart.database)) as connection, connection:
        connection.execute(
            "UPDATE mailbox_app_mailmessage SET stored_at = datetime('now', '-31 days') WHERE uid IN (?, ?)", uids[:2]
        )

    mozzart.start().wait_ready()
    mozzart.wait_log("pruned")
    assert mozzart.run("sync").returncode == 0
    assert mozzart.run("prune").returncode == 0, "nothing is left to do, and nobody is asked"

    assert mozzart.run("verify").returncode == 0
    assert [row["uid"] for row in mozzart.rows("SELECT uid FROM mailbox_app_mailmessage ORDER BY id")] == uids
    assert mozzart.attachments() == {uid: list(mail.files) for uid, mail in zip(uids[2:], mails[2:], strict=True)}
    assert len(mozzart.files()) == 3
    shown = mozzart.http("GET", "/api/messages/").json["messages"]
    assert sorted(one["uid"] for one in shown) == uids[2:]


def test_a_pass_that_would_empty_everything_waits_for_a_person(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mails = [make_mail(number, files=(100,)) for number in range(8)]
    uids = dovecot.append_many([mail.raw for mail in mails])
    mozzart = make_mozzart(MESSAGES_MAX_AGE="30").use(dovecot).start().wait_ready()
    mozzart.wait_stored(8)
    mozzart.stop()
    with contextlib.closing(sqlite3.connect(mozzart.database)) as connection, connection:
        connection.execute("UPDATE mailbox_app_mailmessage SET stored_at = datetime('now', '-60 days')")

    mozzart.start().wait_ready()
    mozzart.wait_log("pruning stopped")
    assert mozzart.attachments() == {uid: list(mail.files) for uid, mail in zip(uids, mails, strict=True)}
    for command in ("status", "doctor"):
        assert "8 of 8 messages were stored before" in mozzart.run(command).stdout
    assert "mozzart_pruning_stopped_messages" in mozzart.http("GET", "/metrics").text
    assert mozzart.http("GET", "/readyz").status == 200, "mail is stored as ever"

    refused = mozzart.run("prune")
    assert (refused.returncode, "--yes" in refused.stderr) == (1, True)
    assert len(mozzart.files()) == 8
    ordered = mozzart.run("prune", "--yes")
    assert (ordered.returncode, "8 messages pruned" in ordered.stdout) == (0, True), ordered.stderr
    assert mozzart.files() == set()
