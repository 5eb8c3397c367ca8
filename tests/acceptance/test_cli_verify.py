"""`mozzart verify` finds what differs, names it, and finds nothing where nothing does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.nats import NatsServer
from tests.support.processes import Mozzart
from tests.support.programs import wait_until


@pytest.fixture
def stored(dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]) -> Mozzart:
    """A system that has stored four messages with two attachments each, and was stopped."""
    dovecot.append_many([make_mail(number, files=(500, 700)).raw for number in range(4)])
    mozzart = make_mozzart(SYNC_INTERVAL="3600").use(dovecot).start().wait_ready()
    mozzart.wait_stored(4)
    assert mozzart.run("sync").returncode == 0
    mozzart.stop()
    return mozzart


def test_while_all_runs_and_mail_arrives_nothing_differs(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mozzart = make_mozzart().use(dovecot).start().wait_ready().wait_live("idling")
    dovecot.append_many([make_mail(number, files=(2000,)).raw for number in range(50)])

    ran = mozzart.run("verify", "--wait", "30")

    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert "✓ default/INBOX  50 on the server, " in ran.stdout
    assert "✗" not in ran.stdout


def test_missing_and_gone_messages_are_named_and_mended_by_the_next_start(stored: Mozzart, dovecot: Dovecot) -> None:
    assert stored.run("verify", "--wait", "0").returncode == 0
    dovecot.expunge(2)
    late = dovecot.append(make_mail(9).raw)

    ran = stored.run("verify", "--wait", "0", "--json")
    assert ran.returncode == 1
    found = json.loads(ran.stdout)
    (mailbox,) = found["mailboxes"]
    uidvalidity = dovecot.uidvalidity()
    assert (mailbox["missing"], mailbox["gone"]) == ([[uidvalidity, late]], [[uidvalidity, 2]])
    assert (mailbox["on_server"], mailbox["stored"], mailbox["doubled"]) == (4, 4, [])
    assert (found["ok"], found["failed"]) == (False, {})
    assert "counts as missing" in found["notes"][0]
    words = stored.run("verify", "--wait", "0", "--no-files").stdout
    assert f"1 missing  UIDVALIDITY {uidvalidity}: UID {late}\n" in words
    assert f"1 gone  UIDVALIDITY {uidvalidity}: UID 2\n" in words
    assert "→ `mozzart sync`" in words

    stored.start().wait_ready()
    assert stored.run("verify", "--wait", "30").returncode == 0


def test_files_that_are_missing_or_changed_are_named_and_extra_ones_are_told(stored: Mozzart) -> None:
    first, second, third, *_ = sorted(stored.files())
    (stored.media / first).unlink()
    content = bytearray((stored.media / second).read_bytes())
    content[-1] ^= 1
    (stored.media / second).write_bytes(content)
    (stored.media / third).with_name("nobody's").write_bytes(b"x")

    ran = stored.run("verify", "--wait", "0")

    assert ran.returncode == 1
    assert "✓ default/INBOX" in ran.stdout
    assert f"1 missing\n    {first}  message " in ran.stdout
    assert f"1 with another content\n    {second}  message " in ran.stdout
    assert "1 file that no row names" in ran.stdout
    assert stored.run("verify", "--wait", "0", "--no-files").returncode == 0


def test_rows_of_an_earlier_uidvalidity_whose_bytes_are_not_stored_anew_are_gone(
    stored: Mozzart, dovecot: Dovecot
) -> None:
    old = dovecot.uidvalidity()
    dovecot.change_uidvalidity()

    (mailbox,) = json.loads(stored.run("verify", "--wait", "0", "--json", "--no-files").stdout)["mailboxes"]

    assert len(mailbox["missing"]) == 4, "nothing is stored under the new one"
    assert mailbox["gone"] == [[old, uid] for uid in (1, 2, 3, 4)]
    stored.start().wait_ready()
    assert stored.run("verify", "--wait", "40").returncode == 0


def test_what_cannot_be_compared_is_told_with_another_code(stored: Mozzart, dovecot: Dovecot) -> None:
    dovecot.stop()

    ran = stored.run("verify", "--wait", "0")
    assert ran.returncode == 69
    assert "could not be compared" in ran.stdout
    assert dovecot.password not in ran.stdout + ran.stderr

    stored.environment["DATABASE_URL"] = "postgresql+asyncpg://mozzart:Pass-w0rd-x@127.0.0.1:1/mozzart"
    ran = stored.run("verify")
    assert (ran.returncode, ran.stdout) == (69, "")
    assert len(ran.stderr.strip().splitlines()) == 1
    assert "Pass-w0rd-x" not in ran.stderr


def test_an_unknown_mailbox_or_account_and_missing_settings_are_sentences(
    stored: Mozzart, make_mozzart: Callable[..., Mozzart]
) -> None:
    for arguments, word in ((("--mailbox", "Nirgends"), "Nirgends"), (("--account", "nobody"), "nobody")):
        ran = stored.run("verify", *arguments)
        assert ran.returncode == 1
        assert word in ran.stderr
        assert len(ran.stderr.splitlines()) == 1
    empty = make_mozzart()
    assert empty.run("db", "upgrade").returncode == 0
    assert empty.run("verify").returncode == 78


def test_what_imap_backfill_leaves_out_is_not_missing(dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]) -> None:
    dovecot.append_many([make_mail(number).raw for number in range(3)])
    mozzart = make_mozzart(IMAP_BACKFILL="none").use(dovecot).start().wait_ready().wait_live("idling")
    dovecot.append(make_mail(9).raw)
    mozzart.wait_stored(1)

    ran = mozzart.run("verify")

    assert ran.returncode == 0
    assert "4 on the server (1 wanted by IMAP_BACKFILL), 1 stored" in ran.stdout


INBOX = "(SELECT id FROM mailbox_app_mailboxstate WHERE mailbox = 'INBOX')"


def columns_of_messages(mozzart: Mozzart) -> list[str]:
    """But those that are of one row alone."""
    names = [row["name"] for row in mozzart.rows("PRAGMA table_info(mailbox_app_mailmessage)")]
    return [name for name in names if name not in ("id", "uid")]


def verified(mozzart: Mozzart, *options: str) -> dict[str, Any]:
    """What it says as JSON, with what differs by mailbox and category: the UIDs."""
    ran = mozzart.run("verify", "--wait", "0", "--json", *options)
    found: dict[str, Any] = json.loads(ran.stdout)
    assert ran.returncode == {"equal": 0, "differs": 1, "incomplete": 69}[found["status"]], ran.stdout
    return found


def differing(found: dict[str, Any]) -> dict[tuple[str, str], list[int]]:
    words = ("missing", "in_flight", "dead", "gone", "doubled", "no_mailbox")
    return {
        (one["mailbox"], word): [uid for _, uid in one[word]]
        for one in found["mailboxes"]
        for word in words
        if one[word]
    }


def test_what_happened_to_mailboxes_and_rows_behind_our_back_is_a_difference_each_in_its_category(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    for name in ("Projects", "Old"):
        dovecot.create(name)
    for mailbox, first in (("INBOX", 0), ("Projects", 10), ("Old", 20)):
        dovecot.append_many([make_mail(first + number).raw for number in range(3)], mailbox)
    mozzart = make_mozzart(IMAP_MAILBOX="*", SYNC_INTERVAL="3600").use(dovecot).start().wait_ready()
    mozzart.wait_stored(9)
    assert mozzart.run("sync").returncode == 0
    mozzart.stop()
    assert differing(verified(mozzart)) == {}

    dovecot.doveadm("mailbox", "rename", "Projects", "Work")
    dovecot.delete("Old")
    dovecot.create("New")
    dovecot.append(make_mail(30).raw, "New")
    mozzart.execute(f"DELETE FROM mailbox_app_mailmessage WHERE uid = 2 AND mailbox_id = {INBOX}")
    copied = ", ".join(columns_of_messages(mozzart))
    mozzart.execute(
        f"INSERT INTO mailbox_app_mailmessage (uid, {copied}) SELECT 99, {copied} FROM mailbox_app_mailmessage"
        f" WHERE uid = 3 AND mailbox_id = {INBOX}"
    )

    found = verified(mozzart)

    assert differing(found) == {
        ("INBOX", "missing"): [2],
        ("INBOX", "doubled"): [99],
        ("New", "missing"): [1],
        ("Old", "no_mailbox"): [1, 2, 3],
        ("Projects", "no_mailbox"): [1, 2, 3],
        ("Work", "missing"): [1, 2, 3],
    }
    assert {one["mailbox"] for one in found["mailboxes"] if one["absent"]} == {"Old", "Projects"}
    assert (found["totals"]["missing"], found["totals"]["no_mailbox"], found["totals"]["gone"]) == (5, 6, 0)
    words = mozzart.run("verify", "--wait", "0").stdout
    assert "✗ default/Old  the server does not have this mailbox, 3 stored\n" in words
    assert "1 missing  UIDVALIDITY" in words
    assert "no syncer has found this mailbox yet" in words
    assert words.count("→ `mozzart sync` fetches them") == 1, "once, where it comes first"
    assert "→ What the server has no more" in words

    mozzart.environment["IMAP_MAILBOX"] = "INBOX"
    found = verified(mozzart, "--mailbox", "Projects")
    assert differing(found) == {("Projects", "no_mailbox"): [1, 2, 3]}


def test_what_waits_for_a_consumer_is_in_flight_and_no_success(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart], nats_server: NatsServer
) -> None:
    mozzart = make_mozzart(NATS_URL=nats_server.url).use(dovecot)
    dovecot.append_many([make_mail(number).raw for number in range(3)])
    assert mozzart.run("db", "upgrade").returncode == 0
    mozzart.start("syncer")
    wait_until(lambda: verified(mozzart)["totals"]["in_flight"] == 3, "three in flight", within=30)

    found = verified(mozzart)
    assert differing(found) == {("INBOX", "in_flight"): [1, 2, 3]}
    assert "→ A consumer stores them" in mozzart.run("verify", "--wait", "0").stdout
