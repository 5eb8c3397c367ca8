"""Connections are bounded, for an account and for a server; mail that then has no push is found by the sweep."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.support.accounts import as_user, table, write_accounts
from tests.support.dovecot import Dovecot, append
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import wait_until
from tests.support.proxy import Proxy

MakeProxy = Callable[[int], Proxy]
NO_NOTIFY = "imap_capability = IMAP4rev1 IDLE UNSELECT UIDPLUS CONDSTORE ENABLE ESEARCH LIST-EXTENDED LIST-STATUS"


def live(mozzart: Mozzart) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = mozzart.http("GET", "/api/mailbox/states/").json["mailboxes"]
    return [one["live"] for one in found if one["live"]]


def wait_connections(mozzart: Mozzart, **wanted: int) -> None:
    """Until so many mailboxes are in these states."""

    def count() -> dict[str, int]:
        states = [one["connection"] for one in live(mozzart)]
        return {state: states.count(state) for state in states}

    wait_until(lambda: count() == wanted, lambda: f"{wanted}: {live(mozzart)}", within=90, every=0.1)


def test_an_account_with_many_mailboxes_stays_within_what_the_server_allows(
    make_dovecot: Callable[..., Dovecot], make_mozzart: Callable[..., Mozzart], make_proxy: MakeProxy
) -> None:
    # Four are ours, one is the test's.
    dovecot = make_dovecot(extra=f"mail_max_userip_connections = 5\n{NO_NOTIFY}")
    names = [f"Project {number}" for number in range(7)]
    for name in names:
        dovecot.create(name)
    proxy = make_proxy(dovecot.port)
    mozzart = make_mozzart(IMAP_CONNECTIONS="4", IMAP_MAILBOX="Project%", SYNC_INTERVAL="0.5", HOST_LOGINS="50")
    mozzart.use(dovecot, port=proxy.port).start().wait_ready()
    wait_connections(mozzart, idling=2, polling=5)

    with dovecot.connect() as connection:
        for number, name in enumerate(names * 3):
            append(connection, make_mail(number).raw, name)
    mozzart.wait_stored(21)

    assert proxy.most_open <= 4
    assert "Maximum number of connections" not in dovecot.log_text()
    for one in live(mozzart):
        if one["connection"] == "polling":
            assert "all 4 connections of the account (IMAP_CONNECTIONS) are in use" in one["error"]
            assert "the sweep alone finds mail" in one["error"]


def test_a_server_that_allows_fewer_connections_than_we_thought_is_believed(
    make_dovecot: Callable[..., Dovecot], make_mozzart: Callable[..., Mozzart]
) -> None:
    dovecot = make_dovecot()
    names = [f"Project {number}" for number in range(6)]
    with dovecot.connect() as connection:
        for name in names:
            assert connection.create(f'"{name}"')[0] == "OK"
            append(connection, make_mail(1).raw, name)
    dovecot.stop()
    dovecot.config.write_text(dovecot.config.read_text() + "\nmail_max_userip_connections = 4\n")
    dovecot.start()
    mozzart = make_mozzart(IMAP_MAILBOX="Project%", SYNC_INTERVAL="0.5", HOST_LOGINS="50").use(dovecot)
    mozzart.start().wait_ready()

    mozzart.wait_stored(6)
    wait_connections(mozzart, idling=2, notified=4)

    assert re.search(r"server allows fewer connections .*connections=[34]\b", mozzart.log_text())


def test_accounts_at_one_server_share_its_connections_and_nobody_is_left_out(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart], make_proxy: MakeProxy
) -> None:
    names = [f"user-{number}" for number in range(8)]
    proxy = make_proxy(dovecot.port)
    mozzart = make_mozzart(ACCOUNTS_FILE="accounts.toml", HOST_CONNECTIONS="6", HOST_LOGINS="50", SYNC_INTERVAL="1")
    write_accounts(mozzart.home / "accounts.toml", [table(dovecot, name, port=proxy.port) for name in names])
    for name in names:
        as_user(dovecot, name).append(make_mail(1).raw)
    mozzart.start().wait_ready()
    wait_connections(mozzart, idling=4, polling=4)
    mozzart.wait_stored(8)

    for name in names:
        as_user(dovecot, name).append(make_mail(2).raw)
    mozzart.wait_stored(16)

    assert proxy.most_open <= 6
    polling = [one for one in live(mozzart) if one["connection"] == "polling"]
    assert all("of the 6 connections to the host (HOST_CONNECTIONS)" in one["error"] for one in polling)
    run = mozzart.http("POST", "/api/mailbox/sync/?wait=30")
    assert (run.status, run.json["status"]) == (200, "ok"), run
