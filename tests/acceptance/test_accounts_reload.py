"""SIGHUP reads ACCOUNTS_FILE again; who did not change notices nothing."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.support.accounts import as_user, live, table, wait_idling, write_accounts
from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import MOZZART, Mozzart
from tests.support.programs import wait_until
from tests.support.proxy import Proxy

SYNC = "/api/mailbox/sync/"
MakeProxy = Callable[[int], Proxy]


def stored(mozzart: Mozzart) -> dict[str, int]:
    rows = mozzart.rows(
        "SELECT account, count(*) AS n FROM mailbox_app_mailmessage m "
        "JOIN mailbox_app_mailboxstate b ON b.id = m.mailbox_id GROUP BY account"
    )
    return {row["account"]: row["n"] for row in rows}


def steady(proxy: Proxy) -> bool:
    """Whether no connection is made for longer than it takes from an IDLE to the look that follows it."""
    before = proxy.accepted
    time.sleep(2.5)
    return proxy.accepted == before


def test_a_reload_touches_only_the_accounts_that_changed(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart], make_proxy: MakeProxy
) -> None:
    mozzart = make_mozzart(ACCOUNTS_FILE="accounts.toml", SYNC_INTERVAL="3600")
    file = mozzart.home / "accounts.toml"
    proxies = {name: make_proxy(dovecot.port) for name in ("anna", "bert", "carl", "dora")}
    tables = {name: table(dovecot, name, port=proxy.port) for name, proxy in proxies.items()}
    write_accounts(file, [tables["anna"], tables["bert"], tables["carl"]])
    mozzart.start().wait_ready()
    wait_idling(mozzart, "anna", "bert", "carl")
    for name in ("anna", "bert", "carl"):
        as_user(dovecot, name).append(make_mail(1).raw)
    wait_until(lambda: stored(mozzart) == {"anna": 1, "bert": 1, "carl": 1}, "one each", within=20)
    wait_until(lambda: steady(proxies["anna"]), "no more connections than it needs", within=20)
    before, connections = live(mozzart)["anna"]["since"], proxies["anna"].accepted
    old = proxies["bert"].accepted

    as_user(dovecot, "bert").create("Second")
    write_accounts(file, [tables["anna"], tables["bert"] | {"mailboxes": ["INBOX", "Sec%"]}, tables["dora"]])
    mozzart.hang_up()
    mozzart.wait_log("accounts reloaded")

    new = wait_until(
        lambda: (
            answer if (answer := mozzart.http("POST", f"{SYNC}?wait=20", {"account": "dora"})).status != 404 else None
        ),
        "the new account is known",
    )
    assert (new.status, new.json["status"]) == (200, "ok"), new
    assert mozzart.http("POST", SYNC, {"account": "carl"}).status == 404
    assert "added=dora" in mozzart.log_text()
    assert "removed=carl" in mozzart.log_text()
    assert "changed=bert" in mozzart.log_text()
    wait_idling(mozzart, "anna", "bert", "dora")
    assert proxies["bert"].accepted > old
    as_user(dovecot, "bert").append(make_mail(2).raw, "Second")
    as_user(dovecot, "anna").append(make_mail(2).raw)
    as_user(dovecot, "dora").append(make_mail(2).raw)
    as_user(dovecot, "carl").append(make_mail(2).raw)
    wait_until(
        lambda: stored(mozzart) == {"anna": 2, "bert": 2, "carl": 1, "dora": 1}, lambda: f"{stored(mozzart)}", within=20
    )
    assert proxies["anna"].accepted <= connections + 1, "the same, and perhaps one more to look with"
    assert live(mozzart)["anna"]["since"] == before, "the same IDLE"
    assert "not synced" in mozzart.run("status").stdout

    file.write_text(file.read_text().replace("mailboxes", "mailbox").replace(dovecot.password, "hidden-pw"))
    mozzart.hang_up()
    mozzart.wait_log("accounts not reloaded, nothing is changed")
    assert "[[account]] 2 (bert): mailbox: unknown; did you mean mailboxes?" in mozzart.log_text()
    assert mozzart.run("status").returncode == 0, "who opens no mailbox does not mind"
    as_user(dovecot, "anna").append(make_mail(3).raw)
    as_user(dovecot, "bert").append(make_mail(3).raw)
    wait_until(
        lambda: stored(mozzart) == {"anna": 3, "bert": 3, "carl": 1, "dora": 1}, lambda: f"{stored(mozzart)}", within=20
    )
    assert proxies["anna"].accepted <= connections + 1

    write_accounts(file, [*tables.values()])
    mozzart.hang_up()
    wait_until(lambda: stored(mozzart).get("carl") == 2, "what came meanwhile to the one that was away", within=20)
    assert proxies["anna"].accepted <= connections + 1
    assert "hidden-pw" not in mozzart.log_text()
    assert "Traceback" not in mozzart.log_text()
    assert mozzart.stop() < 5


def test_a_terminal_that_goes_away_ends_it_all_the_same(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart], tmp_path: Path
) -> None:
    mozzart = make_mozzart(ACCOUNTS_FILE="accounts.toml")
    write_accounts(mozzart.home / "accounts.toml", [table(dovecot, "anna")])
    master, slave = pty.openpty()
    take = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    with mozzart.log.open("ab") as log:
        process = subprocess.Popen(
            [MOZZART.with_name("python"), "-c", take, str(MOZZART), "up"],
            cwd=mozzart.home,
            env=mozzart.settings,
            stdin=slave,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        os.close(slave)
        mozzart.wait_log("connection  account=anna  mailbox=INBOX  state=idling")
        process.send_signal(1)
        mozzart.wait_log("accounts reloaded")
        family = psutil.Process(process.pid).children(recursive=True)
        assert family

        os.close(master)

        assert process.wait(10) == 0
        assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family)
    finally:
        process.kill()
        process.wait(10)
