"""What no push told of is found by the next sweep."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.test_pipeline_sync import NO_PUSH
from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.proxy import Proxy


@pytest.mark.invariant("I3")
def test_mail_that_a_silent_idle_connection_never_told_of_is_stored_by_the_next_sweep(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart], make_proxy: Callable[[int], Proxy]
) -> None:
    proxy = make_proxy(dovecot.port)
    mozzart = make_mozzart(SYNC_INTERVAL="2").use(dovecot, port=proxy.port).start().wait_ready()
    first = make_mail(1, files=(2_000,))
    sent = {dovecot.append(first.raw): first}
    mozzart.wait_stored(1)
    mozzart.wait_live("idling")

    assert proxy.go_silent() >= 1
    second = make_mail(2, files=(2_000,))
    sent[dovecot.append(second.raw)] = second
    mozzart.wait_stored(2, within=40)

    mozzart.check_complete(sent)
    # The connection that was distrusted has been replaced by one that pushes again.
    third = make_mail(3)
    sent[dovecot.append(third.raw)] = third
    mozzart.wait_stored(3, within=20)
    mozzart.check_complete(sent)


def test_a_server_without_push_is_served_by_the_sweep_alone(
    make_dovecot: Callable[..., Dovecot], make_mozzart: Callable[..., Mozzart]
) -> None:
    dovecot = make_dovecot(extra=NO_PUSH)
    mozzart = make_mozzart(SYNC_INTERVAL="1").use(dovecot).start().wait_ready()
    mails = [make_mail(number) for number in range(3)]

    sent = dict(zip(dovecot.append_many([mail.raw for mail in mails]), mails, strict=True))
    mozzart.wait_stored(3, within=15)

    mozzart.check_complete(sent)


def test_mail_that_came_while_the_server_was_away_is_stored_after_the_reconnect(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mozzart = make_mozzart(SYNC_INTERVAL="2").use(dovecot).start().wait_ready()
    first, second = make_mail(1), make_mail(2)
    sent = {dovecot.append(first.raw): first}
    mozzart.wait_stored(1)

    dovecot.restart()
    sent[dovecot.append(second.raw)] = second

    mozzart.wait_stored(2, within=40)
    mozzart.check_complete(sent)


def test_several_mailboxes_with_any_names_are_kept_apart(
    make_dovecot: Callable[..., Dovecot], make_mozzart: Callable[..., Mozzart]
) -> None:
    dovecot = make_dovecot(store="sdbox")  # in a Maildir no mailbox has a dot in its name
    names = ["INBOX", "Büro & Co", "Archive/2024.old", "日本 *>"]
    for name in names[1:]:
        dovecot.create(name)
    mozzart = make_mozzart(IMAP_MAILBOX="*", SYNC_INTERVAL="2").use(dovecot).start().wait_ready()

    for number, name in enumerate(names):
        dovecot.append(make_mail(number, files=(10,)).raw, name)
    mozzart.wait_stored(len(names), within=20)

    found = mozzart.rows(
        "SELECT s.mailbox, count(*) AS n FROM mailbox_app_mailmessage m "
        "JOIN mailbox_app_mailboxstate s ON s.id = m.mailbox_id GROUP BY s.mailbox"
    )
    assert {row["mailbox"]: row["n"] for row in found} == dict.fromkeys(names, 1)
