"""Mail that another client delivers is in the database and on disk, at once, completely, once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.support.dovecot import Dovecot, append
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import wait_until


def test_two_hundred_messages_are_rows_within_three_seconds_of_the_last_append(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mozzart = make_mozzart().use(dovecot).start().wait_ready().wait_live("idling")
    mails = [make_mail(number, files=(40_000, 3_000) if number % 4 == 0 else ()) for number in range(200)]

    with dovecot.connect() as connection:
        sent = {append(connection, mail.raw): mail for mail in mails}
    last_append = time.monotonic()
    mozzart.wait_stored(200, within=10)

    assert time.monotonic() - last_append < 3
    mozzart.check_complete(sent)
    # Not only after the next sweep, a minute later.
    wait_until(lambda: _state(mozzart) == (200, 200), "the mailbox's state tells of all", within=10)
    with dovecot.connect("INBOX") as connection:
        assert connection.uid("SEARCH", "SEEN")[1] == [b""], "we never set \\Seen"


def _state(mozzart: Mozzart) -> tuple[int, int]:
    """`message_count` and `stored_count`."""
    with closing(sqlite3.connect(mozzart.database, timeout=30)) as connection:
        row = connection.execute("SELECT message_count, stored_count FROM mailbox_app_mailboxstate").fetchone()
    return int(row[0]), int(row[1])


@pytest.mark.invariant("I10")
def test_mail_that_was_there_before_is_stored_too_and_the_log_has_a_line_for_each_and_no_secret(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mails = [make_mail(number, files=(500,)) for number in range(20)]
    with dovecot.connect() as connection:
        sent = {append(connection, mail.raw): mail for mail in mails}

    mozzart = make_mozzart(LOG_LEVEL="DEBUG").use(dovecot).start().wait_ready()
    mozzart.wait_stored(20)
    mozzart.check_complete(sent)
    mozzart.stop()

    log = mozzart.log_text()
    for uid in sent:
        lines = [line for line in log.splitlines() if f"/{uid} " in line and " stored " in line]
        assert len(lines) == 1, f"one line for message {uid}: {lines}"
        assert "push_to_stored_ms" not in lines[0], "nobody pushed it"
    assert dovecot.password not in log
    assert mozzart.token not in log
    assert "Traceback" not in log


def test_a_message_of_sixty_megabytes_goes_through_in_little_memory(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mozzart = make_mozzart().use(dovecot).start().wait_ready()
    mail = make_mail(1, files=(44_000_000,))
    assert len(mail.raw) > 60_000_000

    uid = dovecot.append(mail.raw)
    mozzart.wait_stored(1, within=60)

    mozzart.check_complete({uid: mail})
    for role, peak in mozzart.peak_memory().items():
        assert peak < 250_000_000, f"{role} held {peak / 1e6:.0f} MB"


def test_up_ends_within_five_seconds_of_a_signal_and_leaves_no_process(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mozzart = make_mozzart().use(dovecot).start().wait_ready()
    dovecot.append(make_mail(1).raw)
    mozzart.wait_stored(1)

    assert mozzart.stop() < 5
