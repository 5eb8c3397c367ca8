"""What commands, probes and pages say of an installation, compared with what is true."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import wait_until

PAGES = ("/admin/", "/admin/health/")
EVERYBODY = 8
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Said:
    """The exit codes of the commands (0: all is well), the status of /readyz, how /api/mailbox/states/ has them,
    and how many of PAGES say that nothing is wrong."""

    sync: int
    status: int
    verify: int
    doctor: int
    readyz: int
    states: str
    pages: int
    words: str

    @property
    def well(self) -> list[str]:
        """Who says that all is well."""
        said = {"sync": not self.sync, "verify": not self.verify, "doctor": not self.doctor, "status": not self.status}
        said |= {"readyz": self.readyz == 200, "states": self.states == "ok"}
        said |= {f"page {number + 1}": True for number in range(self.pages)}
        return [name for name, well in said.items() if well]


def ask(mozzart: Mozzart) -> Said:
    """All of them at once, as each waits for others."""
    commands: dict[str, tuple[str, ...]] = {"sync": ("sync",), "status": ("status",), "doctor": ("doctor",)}
    commands["verify"] = ("verify", "--wait", "1", "--no-files")
    with ThreadPoolExecutor(8) as pool:
        pages = [pool.submit(mozzart.http, "GET", page, timeout=30) for page in PAGES]
        ready = pool.submit(mozzart.http, "GET", "/readyz", timeout=30)
        states = pool.submit(states_of, mozzart)
        ran = {name: pool.submit(mozzart.run, *words) for name, words in commands.items()}
        done = {name: one.result() for name, one in ran.items()}
    codes = {name: one.returncode for name, one in done.items()}
    words = "\n".join(f"{name} {one.returncode}:\n{one.stdout}{one.stderr}" for name, one in done.items())
    shown = [page.result().text for page in pages]
    well = sum('class="wrong"' not in page and "<h1" in page for page in shown)
    return Said(pages=well, readyz=ready.result().status, states=states.result(), words=words, **codes)


def states_of(mozzart: Mozzart) -> str:
    """`ok`, or what /api/mailbox/states/ tells of the mailboxes that are not."""
    found = mozzart.http("GET", "/api/mailbox/states/", timeout=30)
    if found.status != 200:
        return "no answer"
    wrong = [
        one
        for one in found.json["mailboxes"]
        if one.get("last_sync_status") != "ok" or not one["live"] or one["live"]["in_flight"] or one["live"]["error"]
    ]
    return json.dumps(wrong) if wrong else "ok"


def another_mail() -> bytes:
    """One like no other, with a file that does not fit into a page that is free by chance."""
    return make_mail(next(NUMBERS), files=(100_000,)).raw


@contextmanager
def installation(dovecot: Dovecot, environment: dict[str, str]) -> Iterator[Mozzart]:
    with (
        tempfile.TemporaryDirectory(prefix="mz-", dir="/tmp", ignore_cleanup_errors=True) as home,
        ExitStack() as stack,
    ):
        made = Mozzart(Path(home), environment).use(dovecot)
        stack.callback(made.stop, within=20)
        yield made


def wait_well(mozzart: Mozzart) -> None:
    """Until everybody says that all is well; who costs little is asked first."""
    wait_until(lambda: mozzart.http("GET", "/readyz", timeout=30).status == 200, "/readyz", within=40, every=0.1)
    wait_until(lambda: states_of(mozzart) == "ok", lambda: f"states are {states_of(mozzart)}", within=40, every=0.1)
    said: list[Said] = []

    def all_do() -> bool:
        said.append(ask(mozzart))
        return len(said[-1].well) == EVERYBODY

    wait_until(
        all_do, lambda: f"all is well; {said[-1].well} say so, states {said[-1].states}\n{said[-1].words}", within=40
    )


def check_truth(mozzart: Mozzart, dovecot: Dovecot, situation: AbstractContextManager[None]) -> None:
    """Nobody says that all is well while it lasts and mail waits; everybody does afterwards."""
    with situation:
        dovecot.append(another_mail())
        # A process that is restarted is no fault: it takes a moment until one is told.
        wait_until(lambda: mozzart.http("GET", "/readyz").status == 503, "/readyz tells", within=60, every=0.5)
        said = ask(mozzart)
    assert said.well == [], f"states {said.states}\n{said.words}"
    wait_well(mozzart)
