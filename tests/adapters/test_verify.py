"""`mozzart verify`: an account at a server against the rows of both kinds of database."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from cli import exit_code
from cli.verify import account as verify_account
from cli.verify import deep, screen
from cli.verify.account import Found, compare_account, without_account
from cli.verify.comparison import Differences
from cli.verify.deep import Progress
from cli.verify.digest import HEAD, PART
from cli.verify.files import compare_files
from cli.verify.keeping import MOST_FINDINGS, kept, unfinished
from cli.verify.mailbox import NO_ACCOUNT, NOT_CONFIGURED, NOT_THERE, Compared, Transit
from cli.verify.position import OfFiles, Position
from cli.verify.report import Report, told
from mailcore.difference import Category
from mailcore.errors import MozzartError
from mailcore.events.identity import Identity, MailboxKey
from mailcore.settings import Account
from mailcore.store import MessageRow, Refused, Store, reports
from tests.support.hostile_imap import HostileImap, Session, mail
from tests.support.stores import KEY, NOW, message_row

pytestmark = pytest.mark.asyncio
GENERATION = 1_700_000_000


@pytest.fixture
def server() -> Iterator[HostileImap]:
    with closing(HostileImap(count=5)) as made:
        yield made


async def stored(store: Store, server: HostileImap, *uids: int, key: MailboxKey = KEY) -> int:
    """Rows as the consumer makes them of these messages; the mailbox's id."""
    state = await store.save_mailbox(key, uidvalidity=GENERATION, first_seen_at=NOW, first_uidnext=1)
    rows = [row(state.id, uid, server.mails[uid]) for uid in uids]
    await store.insert_messages(rows)
    return state.id


def row(mailbox_id: int, uid: int, raw: bytes, uidvalidity: int = GENERATION) -> MessageRow:
    sha256 = hashlib.sha256(raw).hexdigest()
    return message_row(mailbox_id, uid, uidvalidity=uidvalidity, size=len(raw), sha256=sha256)


async def compared(
    store: Store,
    server: HostileImap,
    *mailboxes: str,
    transit: Transit | None = None,
    wait: float = 0,
    progress: Progress | None = None,
) -> Found:
    account = Account(
        name="default",
        host=server.host,
        port=server.port,
        user=server.user,
        password=SecretStr(server.password),
        use_ssl=False,
        mailboxes=mailboxes or ("INBOX",),
    )

    async def ask() -> Transit:
        return transit or Transit()

    return await compare_account(store, account, None, ask, wait, progress)


def report(found: Found) -> Report:
    return Report(NOW, mailboxes=found.mailboxes, failed=found.failed, notes=found.notes)


def only(found: Found) -> Compared:
    (one,) = found.mailboxes
    return one


def uids(one: Compared) -> dict[Category, list[int]]:
    return {category: sorted(uid for _, uid in places) for category, places in one.differences.places.items()}


def shown(found: Report) -> str:
    out = io.StringIO()
    screen.show(Console(file=out, width=200, highlight=False, emoji=False), found, NOW + timedelta(hours=2))
    return out.getvalue()


async def test_each_message_that_is_not_stored_is_told_by_what_became_of_it(store: Store, server: HostileImap) -> None:
    await stored(store, server, 1)
    moment = NOW.isoformat()
    words = "NO [SERVERBUG] \u202e\x1b[2J"
    refused: list[Refused] = [
        {"uid": uid, "reason": words, "since": moment, "tries": 3, "next_try": moment} for uid in (1, 4)
    ]
    await store.save_mailbox(KEY, refused=refused)

    def here(uid: int) -> Identity:
        return Identity("default", "INBOX", GENERATION, uid)

    transit = Transit(dict.fromkeys((here(1), here(2), here(3)), 0), {here(3): 0})
    found = await compared(store, server, transit=transit)

    one = only(found)
    assert uids(one) == {Category.IN_FLIGHT: [2], Category.DEAD: [3], Category.REFUSED: [4], Category.MISSING: [5]}
    text = shown(report(found))
    assert text.startswith("✗ default/INBOX  5 on the server, 1 stored\n")
    assert "1 refused" in text
    assert "    UID 4: NO [SERVERBUG] \\u202e\\x1b[2J, since 07:08 UTC (2 h ago), 3 tries, next try now\n" in text
    assert f"1 missing  UIDVALIDITY {GENERATION}: UID 5\n" in text
    assert "→ A consumer stores them" in text
    said = told(report(found), NOW)
    assert (said.ok, said.mailboxes[0].dead, said.totals[Category.MISSING]) == (False, [(GENERATION, 3)], 1)
    assert {(one.category, one.uid, one.reason) for one in report(found).findings()} == {
        ("in_flight", 2, ""),
        ("dead", 3, ""),
        ("refused", 4, words),
        ("missing", 5, ""),
    }

    await stored(store, server, 2, 3, 4, 5)
    found = await compared(store, server, transit=transit)
    assert (report(found).code, shown(report(found))) == (
        exit_code.OK,
        "✓ default/INBOX  5 on the server, 5 stored\n",
    )


async def test_what_was_refused_under_another_uidvalidity_excuses_nothing(store: Store, server: HostileImap) -> None:
    moment = NOW.isoformat()
    await store.save_mailbox(
        KEY,
        uidvalidity=GENERATION - 1,
        refused=[{"uid": 1, "reason": "NO", "since": moment, "tries": 1, "next_try": moment}],
    )
    assert uids(only(await compared(store, server))) == {Category.MISSING: [1, 2, 3, 4, 5]}


async def test_what_is_on_its_way_or_dead_when_its_mailbox_is_renamed_is_told_under_the_new_name(
    store: Store, server: HostileImap
) -> None:
    mailbox_id = await stored(store, server, 1, 2)

    def before(uid: int, mailbox: str = "Old") -> Identity:
        return Identity("default", mailbox, GENERATION, uid)

    transit = Transit({before(3): mailbox_id, before(5, "INBOX"): mailbox_id + 1}, {before(4): mailbox_id})
    found = uids(only(await compared(store, server, transit=transit)))
    assert found == {Category.IN_FLIGHT: [3], Category.DEAD: [4], Category.MISSING: [5]}


async def test_in_flight_alone_that_is_stored_meanwhile_is_no_difference(
    store: Store, server: HostileImap, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox_id = await stored(store, server, 1, 2, 3, 4)
    monkeypatch.setattr(verify_account, "_PAUSE", 0.01)
    asked = 0

    account_transit = Transit({Identity("default", "INBOX", GENERATION, 5): 0})
    account = Account(
        name="default",
        host=server.host,
        port=server.port,
        user=server.user,
        password=SecretStr(server.password),
        use_ssl=False,
    )

    async def ask() -> Transit:
        nonlocal asked
        asked += 1
        if asked == 3:
            await store.insert_messages([row(mailbox_id, 5, server.mails[5])])
        return account_transit

    found = await compare_account(store, account, None, ask, 20)
    assert (uids(only(found)), asked) == ({}, 3)


async def test_equal_bytes_are_a_double_only_if_the_server_has_them_less_often(store: Store) -> None:
    twice = mail(1)
    with closing(HostileImap(twice, twice, mail(3))) as server:
        mailbox_id = await stored(store, server, 1, 2, 3)
        elsewhere = await stored(store, server, key=MailboxKey("default", "Old"))
        assert uids(only(await compared(store, server))) == {}, "an honest double"

        await store.insert_messages([row(mailbox_id, 9, twice)])
        await store.insert_messages([row(elsewhere, 1, twice)])
        inbox, old = (await compared(store, server)).mailboxes
        assert uids(inbox) == {Category.DOUBLED: [9]}
        assert uids(old) == {Category.NO_MAILBOX: [1]}, "a copy in another mailbox is a message of its own"

        server.mails[2] = mail(2)
        inbox, _ = (await compared(store, server)).mailboxes
        assert uids(inbox) == {Category.DOUBLED: [2, 9]}, "the row of UID 2 holds what the server has once"


async def test_a_mailbox_of_the_database_that_is_not_there_is_a_difference_and_says_why(
    store: Store, server: HostileImap, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stored(store, server, 1, 2, 3, 4, 5)
    assert report(await compared(store, server)).code == exit_code.OK
    for name in ("Deleted", "Left"):
        await stored(store, server, 1, 2, key=MailboxKey("default", name))
    await stored(store, server, key=MailboxKey("default", "Empty"))
    await stored(store, server, 1, key=MailboxKey("other", "INBOX"))
    listing = HostileImap._list

    def lists_more(self: HostileImap, session: Session, rest: str) -> str:
        session.say('* LIST () "/" Left')
        return listing(self, session, rest)

    monkeypatch.setattr(HostileImap, "_list", lists_more)
    monkeypatch.setattr(verify_account, "mailboxes", _inbox_alone)
    found = await compared(store, server)
    assert [(one.key.mailbox, one.absent, uids(one)) for one in found.mailboxes] == [
        ("INBOX", "", {}),
        ("Deleted", NOT_THERE, {Category.NO_MAILBOX: [1, 2]}),
        ("Left", NOT_CONFIGURED, {Category.NO_MAILBOX: [1, 2]}),
    ]
    assert report(found).code == exit_code.FAILED
    assert f"✗ default/Deleted  {NOT_THERE}, 2 stored\n" in shown(report(found))
    (first, *_) = report(found).findings()
    assert (first.category, first.mailbox, first.reason) == (Category.NO_MAILBOX, "Deleted", NOT_THERE)

    states = [state for state in await store.mailbox_states() if state.account == "other"]
    strangers = await without_account(store, states)
    assert [(one.key.account, one.absent) for one in strangers.mailboxes] == [("other", NO_ACCOUNT)]


async def _inbox_alone(connection: object, pattern: str) -> list[str]:
    return ["INBOX"]


async def test_a_mailbox_that_is_only_busy_is_not_gone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy(HostileImap):
        def _select(self, session: Session, rest: str) -> str:
            return "NO [INUSE] another session rebuilds it" if "OLD" in rest else super()._select(session, rest)

    with closing(Busy(count=1)) as server:
        await stored(store, server, 1)
        await stored(store, server, 1, key=MailboxKey("default", "Old"))
        found = await compared(store, server)
    assert (uids(only(found)), list(found.failed)) == ({}, ["default/Old"])
    assert "rebuilds" in found.failed["default/Old"]
    assert report(found).code == exit_code.UNAVAILABLE


async def test_a_mailbox_of_the_settings_that_the_server_does_not_have_could_not_be_compared(
    store: Store, server: HostileImap
) -> None:
    await stored(store, server, 1, 2, 3, 4, 5)
    found = await compared(store, server, "INBOX", "Nirgends", "inbox")
    assert (uids(only(found)), list(found.failed)) == ({}, ["default/Nirgends"])
    assert report(found).code == exit_code.UNAVAILABLE


async def test_a_list_that_contradicts_itself_makes_nothing_gone_and_nothing_well(store: Store) -> None:
    class Windowed(HostileImap):
        lies = 100

        def search(self, session: Session, criteria: str) -> list[int]:
            self.lies -= 1
            return super().search(session, criteria)[-2:] if self.lies >= 0 else super().search(session, criteria)

        def give(self, session: Session, number: int, uid: int, items: str) -> list[bytes]:
            return super().give(session, number, uid, items) if uid >= 7 or self.lies < 0 else []

    with closing(Windowed(count=8)) as server:
        await stored(store, server, 1, 2, 3, 4, 5, 7)
        found = await compared(store, server)
        one = only(found)
        assert uids(one) == {Category.MISSING: [8]}, "what is listed is believed"
        assert "lists 2 messages and says that 8 exist" in one.doubt
        await stored(store, server, 8)
        found = await compared(store, server)
        assert (uids(only(found)), report(found).code) == ({}, exit_code.UNAVAILABLE)
        assert "could not be compared" in shown(report(found))
        assert told(report(found), NOW).failed

        server.lies = 1  # the first look
        assert uids(only(await compared(store, server))) == {Category.MISSING: [6]}


async def test_much_that_is_gone_and_another_uidvalidity_need_two_connections_that_agree(store: Store) -> None:
    class Torn(HostileImap):
        logins = 0

        def login(self, session: Session) -> str:
            self.logins += 1
            return super().login(session)

        def select(self, session: Session) -> list[str]:
            if self.logins % 2:  # this node has lost everything
                return ["* 0 EXISTS", f"* OK [UIDVALIDITY {self.uidvalidity}] so"]
            return super().select(session)

        def search(self, session: Session, criteria: str) -> list[int]:
            return [] if self.logins % 2 else super().search(session, criteria)

        def status(self, session: Session, items: str) -> list[str]:
            return [] if self.logins % 2 else super().status(session, items)

    with closing(Torn(count=30)) as server:
        await stored(store, server, *range(1, 31))
        assert uids(only(await compared(store, server))) == {}
        server.logins = 1
        server.expunge(*range(2, 31))
        found = await compared(store, server)
        assert uids(only(found)) == {Category.GONE: list(range(2, 31))}


async def test_files_are_compared_without_following_a_symbolic_link_and_orphans_are_found(
    store: Store, mailbox_id: int, tmp_path: Path
) -> None:
    root, outside = tmp_path / "media", tmp_path / "outside"
    day = root / "mail_attachments/2024/05/06"
    day.mkdir(parents=True)
    digest = hashlib.sha256(b"abc").hexdigest()
    rows = [message_row(mailbox_id, uid) for uid in range(1, 6)]
    for one in rows:
        (part,) = one.attachments
        object.__setattr__(part, "sha256", digest)
        (root / part.file).write_bytes(b"abc")
    await store.insert_messages(rows)
    assert not await compare_files(store, root, wait=0)

    names = [one.attachments[0].file for one in rows]
    (root / names[0]).unlink()
    (root / names[1]).write_bytes(b"abd")
    (root / names[2]).rename(outside)
    (root / names[2]).symlink_to(outside)
    (root / names[3]).unlink()
    (root / names[3]).mkdir()
    (day / "nobody's").write_bytes(b"x")
    (day / ".hidden").write_bytes(b"x")
    (root / "mail_attachments/9999").symlink_to(tmp_path)
    found = await compare_files(store, root, wait=0)

    assert {category: [one.file for one in of_one] for category, of_one in found.rows.items()} == {
        Category.FILE_MISSING: names[:1],
        Category.FILE_ALTERED: names[1:2],
        Category.FILE_SYMLINK: names[2:3],
        Category.FILE_UNREADABLE: names[3:4],
    }
    assert found.orphans == [
        "mail_attachments/2024/05/06/.hidden",
        "mail_attachments/2024/05/06/nobody's",
        "mail_attachments/9999",
    ]

    (tmp_path / "link").symlink_to(root)
    assert (await compare_files(store, tmp_path / "link", wait=0)).totals() == found.totals(), "the root may be one"
    (root / "mail_attachments").rename(tmp_path / "moved")
    (root / "mail_attachments").symlink_to(tmp_path / "moved")
    found = await compare_files(store, root, wait=0)
    assert found.totals() == {Category.FILE_SYMLINK: 5, Category.FILE_ORPHAN: 1}


async def test_what_became_of_a_run_is_kept_with_its_first_findings(store: Store) -> None:
    places = frozenset((7, uid) for uid in range(1, MOST_FINDINGS + 10))
    found = Compared(
        MailboxKey("a", "Ä\ud800\0"), 7, differences=Differences({Category.GONE: places}), absent="", stored=2
    )
    run = Report(NOW)
    async with kept(store, run, "command"):
        (before,) = await store.verify_reports()
        assert (before.status, before.ended_at, before.by) == ("running", None, "command")
        run.mailboxes = [found]
    (summary,) = await store.verify_reports()
    assert (summary.status, summary.findings, summary.totals["gone"]) == ("differs", (), len(places))
    whole = await store.verify_report(summary.id)
    assert whole is not None
    assert len(whole.findings) == MOST_FINDINGS
    assert whole.findings[0] == {
        "category": "gone",
        "account": "a",
        "mailbox": "Ä\ufffd\ufffd",
        "uidvalidity": 7,
        "uid": 1,
        "reason": "",
    }

    with pytest.raises(MozzartError):
        async with kept(store, Report(NOW, account="a"), "verifier"):
            raise MozzartError("nobody answers")
    with pytest.raises(asyncio.CancelledError):
        async with kept(store, Report(NOW), "command"):
            raise asyncio.CancelledError
    unreached = Report(NOW, failed={"a": "no route to host"})
    async with kept(store, unreached, "command"):
        pass
    every = await store.verify_reports()
    assert [(one.status, one.error) for one in every[:3]] == [
        ("failed", "a: no route to host"),
        ("interrupted", ""),
        ("failed", "nobody answers"),
    ]
    assert [one.whole for one in every] == [False, False, False, True]


async def test_only_the_last_reports_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "KEPT", 3)
    for _ in range(5):
        async with kept(store, Report(NOW), "command"):
            pass
    assert [one.id for one in await store.verify_reports()] == [5, 4, 3]
    assert [one.id for one in await store.verify_reports(1, before=5)] == [4]


async def test_a_deep_run_compares_bytes_and_one_message_that_the_server_does_not_give_stops_no_other(
    store: Store,
) -> None:
    class Poisoned(HostileImap):
        def fetch(self, session: Session, uids: list[int], items: str) -> None:
            if 3 in uids and "BODY" in items:
                session.hang_up()

        def facts(self, uid: int, items: str) -> list[bytes]:
            return [
                fact.replace(b"RFC822.SIZE ", b"RFC822.SIZE 9") if uid == 5 else fact
                for fact in super().facts(uid, items)
            ]

    large = mail(6) + b"x" * (HEAD + PART + 5)
    with closing(Poisoned(*(mail(number) for number in range(1, 6)), large, mail(7))) as server:
        await stored(store, server, *range(1, 8))
        assert report(await compared(store, server)).code == exit_code.OK
        server.mails[2] = server.mails[2].replace(b"Subject: ", b"Subject: x")
        server.mails[6] = large[:-1] + b"y"
        progress = Progress(Position(), nothing)
        found = await compared(store, server, progress=progress)

    assert uids(only(found)) == {Category.ALTERED: [2, 6]}
    assert "1 stored messages were not given" in found.failed["default/INBOX"]
    assert "UID 3" in found.failed["default/INBOX"]
    assert [note for note in found.notes if "RFC822.SIZE of 1 messages" in note], "a size alone is a note"
    assert (progress.done, progress.total) == (7, 7)
    assert "2 with other bytes on the server" in shown(report(found))


async def nothing(done: int, total: int) -> None: ...


async def test_a_deep_run_goes_on_where_it_was_interrupted(
    store: Store, server: HostileImap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deep, "_PAGE", 2)
    await stored(store, server, 1, 2, 3, 4, 5)
    server.mails[1] = server.mails[1] + b"more"
    run = Report(NOW, deep=True, position=Position())
    assert run.position is not None

    async def interrupted(done: int, total: int) -> None:
        if done == 4:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        async with kept(store, run, "command"):
            await compared(store, server, progress=Progress(run.position, interrupted))
    server.log.clear()

    position = await unfinished(store, Report(NOW, deep=True))
    assert not await unfinished(store, Report(NOW, account="default", deep=True)), "of another scope"
    found = await compared(store, server, progress=Progress(position, nothing))
    assert uids(only(found)) == {Category.ALTERED: [1]}, "what was found before is looked at again"
    assert {uid for command in server.asked("UID FETCH", body=True) for uid in command.uids} == {1, 5}


async def test_files_that_were_read_before_the_interruption_are_not_read_again(
    store: Store, mailbox_id: int, tmp_path: Path
) -> None:
    rows = [message_row(mailbox_id, uid) for uid in range(1, 5)]
    ids = await store.insert_messages(rows)
    assert len(ids) == 4
    place = OfFiles()
    found = await compare_files(store, tmp_path, wait=0, place=place)
    assert (found.totals(), place.id, len(place.wrong)) == ({Category.FILE_MISSING: 4}, 4, 4)

    place = OfFiles(id=3, wrong=[2])
    found = await compare_files(store, tmp_path, wait=0, place=place)
    assert ([row.id for row in found.rows[Category.FILE_MISSING]], found.count) == ([2, 4], 4)
    assert place == OfFiles(id=4, wrong=[2, 4])
