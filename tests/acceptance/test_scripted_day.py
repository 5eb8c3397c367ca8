"""A day of people at work, on three servers: a subscriber of `mail.>` sees exactly what happened."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import nats
import pytest
from nats.aio.msg import Msg

from mailcore.events.identity import Identity
from tests.support.imapserver import ImapServer
from tests.support.mail import make_mail
from tests.support.processes import Mozzart
from tests.support.programs import wait_until

Make = Callable[..., Mozzart]
Event = tuple[str, ...]  # its type, then what it says

NO_NEWS = {"synced", "account"}  # of our own work, not of what people do


class Subscriber:
    """Everything that the streams hold below `mail.>`, from the first message on."""

    def __init__(self, url: str) -> None:
        self.heard: list[Event] = []
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Subscriber:
        self._thread.start()
        self._client = self._run(nats.connect(self._url))
        for stream in ("MAIL", "MAIL_BACKFILL", "MAIL_EVENTS"):
            self._run(self._client.jetstream().subscribe("mail.>", stream=stream, ordered_consumer=True, cb=self._take))
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _close(self) -> None:
        await self._client.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # nats-py leaves those of its ordered consumers
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _take(self, message: Msg) -> None:
        headers = (message.headers or {}).items()
        facts = {name: value[0] if isinstance(value, list) else value for name, value in headers}
        kind = message.subject.rpartition(".")[2]
        if kind in {"new", "backfill", "copy"}:
            self.heard.append((kind, facts["ce-id"], facts["ce-sha256"], facts.get("mozzart-origin", "")))
        elif kind not in NO_NEWS:
            self.heard.append(_thin(kind, json.loads(message.data)))


def _thin(kind: str, told: dict[str, Any]) -> Event:
    if "uid" not in told:
        return (kind, told["mailbox"], *(told[name] for name in ("old", "new") if name in told))
    identity = str(Identity(told["account"], told["mailbox"], told["uidvalidity"], told["uid"]))
    if kind == "stored":
        return (kind, identity, told["sha256"], told["kind"], told["origin"] or "")
    if kind == "flags":
        return (kind, identity, *(" ".join(sorted(told[name])) for name in ("flags", "added", "removed")))
    return (kind, identity)


class Day:
    """What people do at a server, and what is to be told of it."""

    def __init__(self, server: ImapServer) -> None:
        self.server = server
        self.expected: list[Event] = []
        self.present: dict[str, dict[int, str]] = {"INBOX": {}}  # mailbox → UID → SHA-256
        self._flags: dict[tuple[str, int], str] = {}
        self._uidvalidity: dict[str, int] = {}
        self._first: dict[str, tuple[str, int, int]] = {}  # by SHA-256: who had these bytes first
        self._mails = 0

    def there(self, name: str) -> None:
        """A mailbox, before anybody looks."""
        self.server.create(name)
        self.present[name] = {}

    def create(self, name: str) -> None:
        self.there(name)
        self.expected.append(("mailbox-created", name))

    def deliver(self, name: str = "INBOX") -> int:
        mail = make_mail(self._mails, text=500)
        self._mails += 1
        uid = self.server.append(mail.raw, name)
        self._arrived("new", name, uid, mail.sha256)
        return uid

    def copy(self, uid: int, source: str, target: str) -> int:
        there = self.server.copy(uid, source, target)
        self._arrived("copy", target, there, self.present[source][uid])
        return there

    def move(self, uid: int, source: str, target: str) -> int:
        there = self.server.move(uid, source, target)
        self._arrived("copy", target, there, self.present[source][uid])
        self._gone(source, uid)
        return there

    def expunge(self, uid: int, name: str = "INBOX") -> None:
        self.server.expunge(uid, mailbox=name)
        self._gone(name, uid)

    def flag(self, uid: int, flags: str, name: str = "INBOX") -> None:
        before, now = (set(text.split()) for text in (self._flags.get((name, uid), ""), flags))
        self.server.set_flags(uid, flags, mailbox=name)
        self._flags[name, uid] = flags
        told = (" ".join(sorted(each)) for each in (now, now - before, before - now))
        self.expected.append(("flags", self._identity(name, uid), *told))

    def rename(self, old: str, new: str) -> None:
        self.server.rename(old, new)
        if not self.server.keeps_uidvalidity:
            self._renumbered(old, new)
            return
        self.present[new] = self.present.pop(old)
        self._uidvalidity[new] = self._uidvalidity.pop(old)
        self._first = {
            sha256: (new if name == old else name, uidvalidity, uid)
            for sha256, (name, uidvalidity, uid) in self._first.items()
        }
        self.expected.append(("mailbox-renamed", new, old, new))

    def _renumbered(self, old: str, new: str) -> None:
        """No client can tell it from a mailbox with copies of what was in another one, which is no more."""
        self.expected += [("mailbox-created", new), ("mailbox-deleted", old)]
        self.expected += [("expunged", self._identity(old, uid)) for uid in self.present[old]]
        self.present[new] = {}
        for uid in self.server.uids(new):
            self._arrived("copy", new, uid, hashlib.sha256(self.server.fetch(uid, new)).hexdigest())
        assert sorted(self.present[new].values()) == sorted(self.present.pop(old).values())

    def delete(self, name: str) -> None:
        self.server.delete(name)
        for uid in list(self.present[name]):
            self._gone(name, uid)
        del self.present[name]
        self.expected.append(("mailbox-deleted", name))

    def _identity(self, name: str, uid: int) -> str:
        if name not in self._uidvalidity:
            self._uidvalidity[name] = self.server.uidvalidity(name)
        return str(Identity("default", name, self._uidvalidity[name], uid))

    def _arrived(self, kind: str, name: str, uid: int, sha256: str) -> None:
        identity = self._identity(name, uid)
        self.present[name][uid] = sha256
        first = str(Identity("default", *self._first[sha256])) if kind == "copy" else ""
        self._first.setdefault(sha256, (name, self._uidvalidity[name], uid))
        self.expected += [(kind, identity, sha256, first), ("stored", identity, sha256, kind, first)]

    def _gone(self, name: str, uid: int) -> None:
        del self.present[name][uid]
        self.expected.append(("expunged", self._identity(name, uid)))


@contextlib.contextmanager
def settled(day: Day, subscriber: Subscriber, mozzart: Mozzart, *, asking: bool) -> Iterator[None]:
    """After the block: until all is told. `asking`: a person syncs by hand, where the server tells too little."""
    yield

    def missing() -> list[Event]:
        return list((Counter(day.expected) - Counter(subscriber.heard)).elements())

    def told() -> bool:
        if asking and missing():
            assert mozzart.http("POST", "/api/mailbox/sync/?wait=10").status in {200, 202}
        return not missing()

    wait_until(
        told, lambda: f"told: {missing()}\n{mozzart.log_text()[-4000:]}", within=30, every=0.2 if asking else 0.05
    )


@pytest.mark.invariant("I1", "I3", "I4")
@pytest.mark.parametrize("name", ["dovecot", "cyrus", "courier"])
def test_a_day_of_people_at_work_is_told_exactly_as_it_was(
    name: str, request: pytest.FixtureRequest, make_mozzart: Make
) -> None:
    """40 deliveries, 10 moves, 5 copies, 2 renames, 1 deletion, 1 new mailbox with mail, 30 flag changes, 6
    expunges."""
    server: ImapServer = request.getfixturevalue(name)
    day = Day(server)
    archive, projects, old, bin_, young = map(server.place, ("Archive", "Projects", "Old", "Bin", "Young"))
    for mailbox in (archive, projects, old, bin_):
        day.there(mailbox)
    mozzart = make_mozzart(IMAP_MAILBOX="*", SYNC_INTERVAL="1").use(server).start().wait_ready()

    def swept() -> bool:
        states = mozzart.http("GET", "/api/mailbox/states/").json["mailboxes"]
        return len(states) == 5 and all(state.get("last_sync_status") == "ok" for state in states)

    wait_until(swept, "all are swept", within=30)
    url = (mozzart.home / "data" / "nats.url").read_text().strip()
    asking = name == "courier"  # it has no CONDSTORE, and tells who idles once a minute
    with Subscriber(url) as subscriber:
        with settled(day, subscriber, mozzart, asking=asking):
            inbox = [day.deliver() for _ in range(30)]
            project = [day.deliver(projects) for _ in range(4)]
            for mailbox in (old, old, bin_, bin_):
                day.deliver(mailbox)
        with settled(day, subscriber, mozzart, asking=asking):
            for uid in inbox[:10]:
                day.flag(uid, "\\Seen")
            for uid in project:
                day.flag(uid, "\\Flagged", projects)
        with settled(day, subscriber, mozzart, asking=asking):
            archived = [day.move(uid, "INBOX", archive) for uid in inbox[10:20]]
            for uid in inbox[20:24]:
                day.copy(uid, "INBOX", projects)
        work, older = map(server.place, ("Work", "Older"))
        with settled(day, subscriber, mozzart, asking=asking):
            day.rename(projects, work)
            day.rename(old, older)
        with settled(day, subscriber, mozzart, asking=asking):
            day.copy(min(day.present[work]), work, "INBOX")  # whose origin was in Projects
            for uid in inbox[:5]:
                day.flag(uid, "\\Answered \\Seen")
            for uid in inbox[5:10]:
                day.flag(uid, "")
            for uid in archived[:6]:
                day.flag(uid, "\\Flagged", archive)
            for uid in inbox[24:30]:
                day.expunge(uid)
            day.delete(bin_)
            day.create(young)
            day.deliver(young)
            day.deliver(young)
        assert mozzart.run("sync").returncode == 0
        assert mozzart.run("verify").returncode == 0
        heard, expected = Counter(subscriber.heard), Counter(day.expected)
        # To expunge is STORE \Deleted, then EXPUNGE: a look may fall in between, and what it tells is true.
        for event in [one for one in heard if one[0] == "flags" and one[3] == "\\Deleted"]:
            if ("expunged", event[1]) in expected:
                del heard[event]
        assert (list((heard - expected).elements()), list((expected - heard).elements())) == ([], [])

    counted = {"new": 40, "copy": 15, "stored": 55, "flags": 30, "expunged": 10 + 6 + 2}
    counted |= {"mailbox-renamed": 2, "mailbox-deleted": 1, "mailbox-created": 1}
    if not server.keeps_uidvalidity:  # 8 messages were in one mailbox that was renamed, 2 in the other
        counted |= {"copy": 25, "stored": 65, "expunged": 28, "mailbox-deleted": 3, "mailbox-created": 3}
        del counted["mailbox-renamed"]
    assert Counter(event[0] for event in day.expected) == counted
    rows = mozzart.rows(
        "SELECT s.mailbox, m.uid, m.sha256 FROM mailbox_app_mailmessage m JOIN mailbox_app_mailboxstate s"
        " ON s.id = m.mailbox_id WHERE m.expunged_at IS NULL"
    )
    there = {(mailbox, uid): sha256 for mailbox, uids in day.present.items() for uid, sha256 in uids.items()}
    assert {(row["mailbox"], row["uid"]): row["sha256"] for row in rows} == there
    assert all(server.uids(mailbox) == sorted(uids) for mailbox, uids in day.present.items())
