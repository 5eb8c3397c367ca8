"""How soon mail is announced in mailboxes that have no connection of their own: 100 of them, three connections.

`python -m bench.notify`: the server tells one connection of the account of all mailboxes (NOTIFY, RFC 5465). Two raw
sockets ask it for the same in the same run: the first tells when the server begins to tell, the second how much it
differs from one client to another.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import nats
from nats.aio.msg import Msg

from bench.measure import summary
from bench.rawimap import RawImap
from tests.support.dovecot import Dovecot, append
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import wait_until

CONNECTIONS = 3
COMMAND = "NOTIFY SET (SELECTED (MessageNew MessageExpunge)) (PERSONAL (MessageNew MessageExpunge))"


@dataclass
class Notified:
    """Milliseconds; each list has one figure a message."""

    server: list[float] = field(default_factory=list)  # APPEND answered → STATUS at the first raw socket
    second: list[float] = field(default_factory=list)  # that → STATUS at the second one
    new: list[float] = field(default_factory=list)  # the first of both → `new` at a subscriber
    whole: list[float] = field(default_factory=list)  # APPEND answered → `new`
    unannounced: int = 0  # the server told the raw sockets nothing within 10 s; not counted above


class _NotifyWatch:
    """A raw connection that is told of every mailbox, in a thread; when each was told of last."""

    def __init__(self, dovecot: Dovecot) -> None:
        self.told: dict[str, float] = {}
        self._imap = RawImap(dovecot)
        self._imap.command(COMMAND)
        self._imap.socket.sendall(b"i IDLE\r\n")
        while not self._imap.readline().startswith(b"+"):
            pass
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while line := self._imap.readline():
            if line.startswith(b"i "):
                return
            if line.startswith(b"* STATUS "):
                self.told[line.split()[2].decode().strip('"')] = time.monotonic()

    def close(self) -> None:
        self._imap.socket.sendall(b"DONE\r\n")
        self._thread.join(10)
        self._imap.close()


async def measure(dovecot: Dovecot, mozzart: Mozzart, names: list[str], messages: int) -> Notified:
    """One message after the other into any of these, with pauses as people make."""
    found, dice = Notified(), random.Random(1)
    announced: dict[str, float] = {}

    async def heard(message: Msg) -> None:
        announced[message.subject.split(".")[2]] = time.monotonic()

    bus = await nats.connect((mozzart.home / "data" / "nats.url").read_text().strip())
    await bus.subscribe("mail.*.*.new", cb=heard)
    await bus.flush()
    watches = await asyncio.to_thread(lambda: [_NotifyWatch(dovecot) for _ in range(2)])
    connection = dovecot.connect()
    try:
        for number in range(messages):
            await asyncio.sleep(dice.uniform(0.8, 1.8))
            name = dice.choice(names)
            for times in (announced, *(watch.told for watch in watches)):
                times.pop(name, None)
            await asyncio.to_thread(append, connection, make_mail(number, seed=5).raw, name)
            delivered = time.monotonic()
            try:
                async with asyncio.timeout(10):
                    while not (name in announced and all(name in watch.told for watch in watches)):  # noqa: ASYNC110
                        await asyncio.sleep(0.005)
            except TimeoutError:
                found.unannounced += 1
                continue
            first, last = sorted(watch.told[name] for watch in watches)
            found.server.append((first - delivered) * 1000)
            found.second.append((last - first) * 1000)
            found.new.append((announced[name] - first) * 1000)
            found.whole.append((announced[name] - delivered) * 1000)
    finally:
        connection.logout()
        for watch in watches:
            watch.close()
        await bus.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.notify", description=__doc__)
    parser.add_argument("--mailboxes", type=int, default=100, help="of the account (%(default)s)")
    parser.add_argument("--messages", type=int, default=60, help="that are delivered (%(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="for mozzart's environment")
    arguments = parser.parse_args()
    names = [f"Box{number}" for number in range(arguments.mailboxes - 1)]  # and INBOX
    dovecot = Dovecot().start()
    with tempfile.TemporaryDirectory(prefix="mz-bench-") as scratch:
        settings = {"IMAP_MAILBOX": "*", "SYNC_INTERVAL": "600", "IMAP_CONNECTIONS": str(CONNECTIONS)}
        settings |= dict(word.split("=", 1) for word in arguments.set)
        mozzart = Mozzart(Path(scratch), settings, executed=True).use(dovecot)
        try:
            for name in names:
                dovecot.create(name)
            began = time.monotonic()
            mozzart.start().wait_ready()
            wait_until(lambda: _pushed(mozzart, arguments.mailboxes), "all are pushed", within=120)
            took = time.monotonic() - began
            print(f"{arguments.mailboxes} mailboxes, {CONNECTIONS} connections: {took:.1f} s until all are pushed")
            found = asyncio.run(measure(dovecot, mozzart, names, arguments.messages))
        finally:
            mozzart.stop()
            dovecot.close()
    for what, values in (
        ("the server: APPEND answered → STATUS at a raw socket (NOTIFY, IDLE)", found.server),
        ("that → STATUS at a second raw socket (noise)", found.second),
        ("mozzart: the first STATUS → `new` at a subscriber", found.new),
        ("mozzart: APPEND answered → `new` at a subscriber", found.whole),
    ):
        told = ", ".join(f"{name} {value:.1f}" for name, value in summary(values).items())
        print(f"{what}: {told} ms")
    print(f"{len(found.new)} messages; of {found.unannounced} nobody was told within 10 s")


def _pushed(mozzart: Mozzart, count: int) -> bool:
    states = mozzart.http("GET", "/api/mailbox/states/").json["mailboxes"]
    return len(states) == count and all(
        one.get("last_sync_status") == "ok" and one["live"] and one["live"]["connection"] in {"idling", "notified"}
        for one in states
    )


if __name__ == "__main__":
    main()
