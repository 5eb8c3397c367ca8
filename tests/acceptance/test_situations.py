"""While mail is not stored, no command and no probe says that all is well; as soon as it is, each of them does."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import pytest

from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import need_program, wait_until
from tests.support.truth import check_truth, installation, wait_well

PRESENT = """SELECT count(*) AS n FROM mailbox_app_mailmessage m JOIN mailbox_app_mailboxstate b ON b.id = m.mailbox_id
WHERE b.mailbox = ? AND m.expunged_at IS NULL"""


@contextmanager
def frozen(mozzart: Mozzart, role: str) -> Iterator[None]:
    process = mozzart.processes()[role]
    process.suspend()
    try:
        yield
    finally:
        process.resume()


@contextmanager
def locked(mozzart: Mozzart) -> Iterator[None]:
    """Somebody else writes into the database, and does not end."""
    with closing(sqlite3.connect(mozzart.database, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


SITUATIONS: dict[str, Callable[[Mozzart], AbstractContextManager[None]]] = {
    "consumer stopped": lambda mozzart: frozen(mozzart, "consumer"),
    "syncer stopped": lambda mozzart: frozen(mozzart, "syncer"),
    "NATS away": lambda mozzart: frozen(mozzart, "nats-server"),
    "database locked": locked,
}


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    need_program("dovecot", "dovecot-imapd")
    with closing(Dovecot()) as server:
        yield server.start()


@pytest.fixture(scope="module")
def mozzart(dovecot: Dovecot) -> Iterator[Mozzart]:
    """All of it, syncing whatever mailboxes there are every three seconds."""
    with installation(dovecot, {"IMAP_MAILBOX": "*", "SYNC_INTERVAL": "3"}) as made:
        yield made.start().wait_ready().wait_live("idling")


@pytest.mark.parametrize("name", SITUATIONS)
def test_nobody_says_that_all_is_well_while_mail_waits_and_everybody_does_afterwards(
    name: str, mozzart: Mozzart, dovecot: Dovecot
) -> None:
    check_truth(mozzart, dovecot, SITUATIONS[name](mozzart))


def test_a_mailbox_that_is_new_or_deleted_is_well_for_everybody_once_it_was_followed(
    mozzart: Mozzart, dovecot: Dovecot
) -> None:
    dovecot.create("New")
    dovecot.append(make_mail(100).raw, "New")
    wait_well(mozzart)
    assert mozzart.rows(PRESENT, "New")[0]["n"] == 1

    dovecot.delete("New")
    wait_until(lambda: mozzart.run("verify", "--wait", "1").returncode == 0, "its rows are expunged", within=40)
    assert mozzart.rows(PRESENT, "New")[0]["n"] == 0
