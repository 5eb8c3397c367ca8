"""While mail is not stored, no command and no probe says that all is well; as soon as it is, each of them does."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import need_program, wait_until

EVERYBODY = 6
PRESENT = """SELECT count(*) AS n FROM mailbox_app_mailmessage m JOIN mailbox_app_mailboxstate b ON b.id = m.mailbox_id
WHERE b.mailbox = ? AND m.expunged_at IS NULL"""


@dataclass(frozen=True)
class Said:
    """The exit codes of the commands (0: all is well), the status of /readyz, and how /api/mailbox/states/ has them."""

    sync: int
    status: int
    verify: int
    doctor: int
    readyz: int
    states: str
    words: str

    @property
    def well(self) -> list[str]:
        """Who says that all is well."""
        said = {"sync": not self.sync, "verify": not self.verify, "doctor": not self.doctor, "status": not self.status}
        said |= {"readyz": self.readyz == 200, "states": self.states == "ok"}
        return [name for name, well in said.items() if well]


def ask(mozzart: Mozzart) -> Said:
    """All of them at once, as each waits for others."""
    commands = {"sync": ("sync",), "status": ("status",), "doctor": ("doctor",)}
    commands["verify"] = ("verify", "--wait", "1", "--no-files")
    with ThreadPoolExecutor(6) as pool:
        ready = pool.submit(mozzart.http, "GET", "/readyz", timeout=30)
        states = pool.submit(mozzart.http, "GET", "/api/mailbox/states/", timeout=30)
        ran = {name: pool.submit(mozzart.run, *words) for name, words in commands.items()}
        done = {name: one.result() for name, one in ran.items()}
    codes = {name: one.returncode for name, one in done.items()}
    words = "\n".join(f"{name} {one.returncode}:\n{one.stdout}{one.stderr}" for name, one in done.items())
    found = states.result()
    told = "no answer"
    if found.status == 200:
        wrong = [
            one
            for one in found.json["mailboxes"]
            if one.get("last_sync_status") != "ok"
            or not one["live"]
            or one["live"]["in_flight"]
            or one["live"]["error"]
        ]
        told = json.dumps(wrong) if wrong else "ok"
    return Said(readyz=ready.result().status, states=told, words=words, **codes)


def in_step(mailbox: dict[str, Any]) -> bool:
    live = mailbox["live"]
    in_order = live is not None and not (live["in_flight"] or live["error"])
    return in_order and mailbox.get("last_sync_status") == "ok"


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
    with (
        tempfile.TemporaryDirectory(prefix="mz-", dir="/tmp", ignore_cleanup_errors=True) as home,
        ExitStack() as stack,
    ):
        made = Mozzart(Path(home), {"IMAP_MAILBOX": "*", "SYNC_INTERVAL": "3"}).use(dovecot)
        stack.callback(made.stop, within=20)
        yield made.start().wait_ready().wait_live("idling")


def wait_well(mozzart: Mozzart) -> None:
    """Until everybody says that all is well."""
    said: list[Said] = []

    def all_do() -> bool:
        said.append(ask(mozzart))
        return len(said[-1].well) == EVERYBODY

    wait_until(
        all_do, lambda: f"all is well; {said[-1].well} say so, states {said[-1].states}\n{said[-1].words}", within=40
    )


@pytest.mark.parametrize("name", SITUATIONS)
def test_nobody_says_that_all_is_well_while_mail_waits_and_everybody_does_afterwards(
    name: str, mozzart: Mozzart, dovecot: Dovecot
) -> None:
    with SITUATIONS[name](mozzart):
        dovecot.append(make_mail(mozzart.stored() + 1).raw)
        # A process that is restarted is no fault: it takes a moment until one is told.
        wait_until(lambda: mozzart.http("GET", "/readyz").status == 503, "/readyz tells", within=60, every=0.5)
        said = ask(mozzart)
    assert said.well == [], f"states {said.states}\n{said.words}"
    wait_well(mozzart)


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
