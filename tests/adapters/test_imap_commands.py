"""Mailboxes and messages on a real Dovecot, and the fallbacks for servers that offer less."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from mailcore.errors import CommandFailed, ConnectionLost, ImapError, Retry, Scope
from mailcore.imap.sequence import UidSet
from mailcore.imap.session import State
from syncer.imap.connection import (
    Endpoint,
    FetchedMessage,
    ImapConnection,
    Listed,
    Listing,
    MailboxesListed,
    MailboxStatus,
    MessageGone,
    Selected,
)
from tests.support.dovecot import Dovecot
from tests.support.programs import wait_until
from tests.support.scripted_imap import ScriptedImap, Session, message

Serve = Callable[..., ScriptedImap]
pytestmark = pytest.mark.asyncio

ODD = b"From: a\r\nSubject: \xff\xfe ** SALE * end (((\r\n\r\n\x00)\r\nA1 OK {5}\r\n* 9 EXISTS\r\nlone\rcr"


def endpoint_of(dovecot: Dovecot) -> Endpoint:
    return Endpoint(
        dovecot.host, dovecot.port, dovecot.user, SecretStr(dovecot.password), False, ca_file=dovecot.ca_file
    )


@pytest_asyncio.fixture
async def connection(dovecot: Dovecot) -> AsyncIterator[ImapConnection]:
    made = await ImapConnection.open(endpoint_of(dovecot))
    yield made
    made.kill()


async def every(stream: AsyncIterator[FetchedMessage]) -> list[FetchedMessage]:
    return [found async for found in stream]


async def test_mailbox_names_with_spaces_quotes_and_any_script_are_listed_and_selected(
    dovecot: Dovecot, connection: ImapConnection
) -> None:
    names = ["My Folder", 'say "hi" \\o', "Entwürfe & Söhne", "台北/日本語", "😀", "** SALE * end ("]
    for name in names:
        await asyncio.to_thread(dovecot.create, name)
    listed = (await connection.list_mailboxes("*")).mailboxes
    assert {item.name for item in listed if item.selectable} >= {"INBOX", *names}
    assert Listed("台北", frozenset({"\\Noselect", "\\HasChildren"}), selectable=False) in listed
    assert [item.name for item in (await connection.list_mailboxes("Entwürfe%")).mailboxes] == ["Entwürfe & Söhne"]
    assert await connection.list_mailboxes("no such*") == MailboxesListed((), whole=True)
    for name in names:
        await asyncio.to_thread(dovecot.append, b"x: y\r\n\r\n", name)
        assert (await connection.select(name)).exists == 1
        assert (await connection.status(name)).messages == 1


async def test_select_and_status_tell_the_state_and_change_nothing(
    dovecot: Dovecot, connection: ImapConnection
) -> None:
    for _ in range(3):
        await asyncio.to_thread(dovecot.append, b"x: y\r\n\r\n")
    selected = await connection.select("INBOX")
    assert (selected.uidnext, selected.exists) == (4, 3)
    assert selected.uidvalidity == await asyncio.to_thread(dovecot.uidvalidity)
    assert selected.highestmodseq
    status = await connection.status("INBOX")
    assert status == MailboxStatus(selected.uidvalidity, 4, 3, selected.highestmodseq)
    await every(connection.uid_fetch_messages("1:*", limit=1000))
    await connection.uid_fetch_part(1, 0, 100)
    assert await connection.status("INBOX") == status  # nothing was marked as read: no new MODSEQ
    await asyncio.to_thread(dovecot.set_flags, 2, "\\Seen")
    assert (await connection.status("INBOX")).highestmodseq != status.highestmodseq


async def test_status_of_a_mailbox_not_selected_tells_highestmodseq_from_the_first_time(
    dovecot: Dovecot, connection: ImapConnection
) -> None:
    await asyncio.to_thread(dovecot.append, b"x: y\r\n\r\n")
    assert (await connection.status("INBOX")).highestmodseq


async def test_a_missing_mailbox_fails_the_command_and_not_the_connection(connection: ImapConnection) -> None:
    with pytest.raises(CommandFailed) as caught:
        await connection.select("no such")
    assert (caught.value.scope, caught.value.retry) == (Scope.MAILBOX, Retry.LATER)
    assert await connection.status("no such") == MailboxStatus(None, None, None, None)
    assert connection.state is State.AUTHENTICATED
    await connection.select("INBOX")


async def test_a_command_in_the_wrong_state_is_refused_here(connection: ImapConnection) -> None:
    with pytest.raises(ImapError, match="may not be sent while authenticated"):
        await connection.uid_search()
    with pytest.raises(ImapError, match="may not"):
        await connection.idle(refresh=1)
    assert not connection.closed
    await connection.noop()


async def test_search_gives_the_uids_there_are(dovecot: Dovecot, connection: ImapConnection) -> None:
    await connection.select("INBOX")
    assert await connection.uid_search() == UidSet()
    await asyncio.to_thread(dovecot.append_many, [b"x: y\r\n\r\n"] * 9)
    await asyncio.to_thread(dovecot.expunge, 2, 3, 7)
    await connection.noop()
    assert str(await connection.uid_search()) == "1,4:6,8:9"
    assert str(await connection.uid_search("UID 5:*")) == "5:6,8:9"
    assert await connection.uid_search("SINCE 1-Jan-2200") == UidSet()
    with pytest.raises(CommandFailed):
        await connection.uid_search("NONSENSE")
    with pytest.raises(ImapError, match="search criteria"):
        await connection.uid_search("ALL\r\nA LOGOUT")


async def test_messages_come_with_their_exact_bytes_and_facts(dovecot: Dovecot, connection: ImapConnection) -> None:
    when = datetime(2020, 2, 29, 23, 30, tzinfo=UTC)
    await asyncio.to_thread(dovecot.append, ODD, "INBOX", "\\Flagged $Junk", when)
    long = b"x: y\r\n\r\n" + b"a\r\n" * 5000
    await asyncio.to_thread(dovecot.append, long)
    await connection.select("INBOX")
    odd, cut = await every(connection.uid_fetch_messages(UidSet([1, 2]), limit=len(ODD)))
    # Dovecot itself changes what is no mail: it serves lone line ends as CRLF and NUL as 0x80.
    served = await asyncio.to_thread(dovecot.fetch, 1)
    assert (odd.uid, odd.body, odd.size, odd.internaldate) == (1, served[: len(ODD)], len(served), when)
    assert set(odd.flags) == {"\\Flagged", "$Junk"}
    assert (cut.body, cut.size, cut.complete) == (long[: len(ODD)], len(long), False)
    (whole,) = await every(connection.uid_fetch_messages("2", limit=len(long)))
    assert (whole.body, whole.complete) == (long, True)
    facts = await connection.uid_fetch_facts(UidSet([1, 2, 3, 99]))
    assert [(fact.uid, fact.size, fact.body) for fact in facts] == [(1, len(served), None), (2, len(long), None)]
    assert facts[0].internaldate == when


async def test_an_open_range_beyond_the_end_gives_the_last_message(
    dovecot: Dovecot, connection: ImapConnection
) -> None:
    await asyncio.to_thread(dovecot.append_many, [b"x: y\r\n\r\n"] * 2)
    await connection.select("INBOX")
    assert [found.uid for found in await every(connection.uid_fetch_messages("7:*", limit=10))] == [2]


async def test_a_message_in_parts_is_the_message(dovecot: Dovecot, connection: ImapConnection) -> None:
    whole = b"x: y\r\n\r\n" + bytes(range(32, 127)) * 700 + b"\r\n"
    await asyncio.to_thread(dovecot.append, whole)
    await connection.select("INBOX")
    parts: list[bytes] = []
    while part := await connection.uid_fetch_part(1, len(b"".join(parts)), 10_000):
        parts.append(part)
    assert b"".join(parts) == whole
    assert [len(part) for part in parts[:-1]] == [10_000] * 6
    together = await asyncio.gather(*(connection.uid_fetch_part(1, n * 10_000, 10_000) for n in range(7)))
    assert b"".join(together) == whole


async def test_a_message_expunged_meanwhile_is_gone_and_stops_nobody(
    dovecot: Dovecot, connection: ImapConnection
) -> None:
    await asyncio.to_thread(dovecot.append_many, [b"x: y\r\n\r\n" + b"a" * 500] * 3)
    await connection.select("INBOX")
    await asyncio.to_thread(dovecot.expunge, 2)
    with pytest.raises(MessageGone) as caught:
        await connection.uid_fetch_part(2, 0, 100)
    assert (caught.value.scope, caught.value.retry) == (Scope.MESSAGE, Retry.NEVER)
    with pytest.raises(MessageGone):
        await connection.uid_fetch_part(99, 0, 100)
    found = await every(connection.uid_fetch_messages("1:3", limit=1000))
    assert [item.uid for item in found if item.body is not None] == [1, 3]


async def test_unselect_leaves_without_expunging(dovecot: Dovecot, connection: ImapConnection) -> None:
    await asyncio.to_thread(dovecot.append, b"x: y\r\n\r\n", "INBOX", "\\Deleted")
    await connection.select("INBOX")
    await connection.unselect()
    assert connection.state is State.AUTHENTICATED
    assert await asyncio.to_thread(dovecot.uids) == [1]


async def test_where_unselect_is_not_offered_nothing_is_expunged_either(
    dovecot: Dovecot, connection: ImapConnection
) -> None:
    await asyncio.to_thread(dovecot.append, b"x: y\r\n\r\n", "INBOX", "\\Deleted")
    await connection.select("INBOX")
    connection._protocol.capabilities -= {"UNSELECT"}
    await connection.unselect()
    assert connection.state is State.AUTHENTICATED
    assert await asyncio.to_thread(dovecot.uids) == [1]


async def test_a_uidvalidity_change_is_seen_at_the_next_select(dovecot: Dovecot, connection: ImapConnection) -> None:
    before = await connection.select("INBOX")
    await connection.unselect()
    changed = await asyncio.to_thread(dovecot.change_uidvalidity)
    assert changed != before.uidvalidity
    assert (await connection.select("INBOX")).uidvalidity == changed


@pytest.mark.parametrize("tls", [False, True])
async def test_a_stopped_server_fails_what_waits(dovecot: Dovecot, tls: bool) -> None:
    port = dovecot.tls_port if tls else dovecot.port
    connection = await ImapConnection.open(replace(endpoint_of(dovecot), use_ssl=tls, port=port))
    await connection.select("INBOX")
    idling = asyncio.create_task(connection.idle(refresh=60))
    await asyncio.to_thread(wait_until, lambda: connection.state is State.IDLING, "the server agrees to IDLE")
    await asyncio.to_thread(dovecot.stop)
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionLost):
            await idling
    with pytest.raises(ConnectionLost):
        await connection.noop()


async def test_a_selected_mailbox_that_is_deleted_ends_the_connection(
    dovecot: Dovecot, connection: ImapConnection
) -> None:
    await asyncio.to_thread(dovecot.create, "doomed")
    await connection.select("doomed")
    await asyncio.to_thread(dovecot.delete, "doomed")

    async def look_until_it_is_noticed() -> None:
        while True:
            await connection.uid_search()
            await connection.noop()

    async with asyncio.timeout(10):
        with pytest.raises(ConnectionLost, match="BYE"):
            await look_until_it_is_noticed()
    assert connection.closed


async def test_a_large_message_is_fetched_whole_and_in_parts(dovecot: Dovecot, connection: ImapConnection) -> None:
    whole = b"x: y\r\n\r\n" + (b"z" * 74 + b"\r\n") * (20 * 1024 * 1024 // 76)
    await asyncio.to_thread(dovecot.append, whole)
    await connection.select("INBOX")
    (found,) = await every(connection.uid_fetch_messages("1", limit=1 << 30))
    assert found.body == whole
    (head,) = await every(connection.uid_fetch_messages("1", limit=1000))
    assert (head.body, head.complete, head.size) == (whole[:1000], False, len(whole))
    parts: list[bytes] = []
    while part := await connection.uid_fetch_part(1, len(b"".join(parts)), 1 << 20):
        parts.append(part)
    assert b"".join(parts) == whole


# ---- servers that offer less, or answer otherwise ----


async def test_a_server_without_esearch_and_condstore_is_asked_plainly(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.log_in("IMAP4rev1")
        session.answer('SELECT "INBOX"', "* 3 EXISTS", "* OK [UIDVALIDITY 7] x", "* OK [NOMODSEQ] x")
        session.answer("UID SEARCH ALL", "* SEARCH 9 2", "* SEARCH", "* SEARCH 3 2")
        session.answer("NOOP")  # so that STATUS of the selected mailbox is fresh
        session.answer(r'STATUS "INBOX" \(MESSAGES UIDNEXT UIDVALIDITY\)', "* STATUS INBOX (UIDNEXT 5 UIDVALIDITY 7)")
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    selected = await connection.select("INBOX")
    assert (selected.uidnext, selected.highestmodseq) == (None, None)
    assert not connection.supports_idle
    assert str(await connection.uid_search()) == "2:3,9"  # and no CHARSET, which some servers refuse
    assert await connection.status("INBOX") == MailboxStatus(7, 5, None, None)
    connection.kill()


async def test_a_server_without_unselect_gets_an_examine_that_fails(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin(capabilities="IMAP4rev1")
        session.answer(r'EXAMINE "mozzart-none-[0-9a-f]{16}"', end="NO no such mailbox")
        session.select()
        session.answer("EXAMINE .*")  # a server that makes a mailbox of it
        session.answer("CLOSE")
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    for _ in range(2):
        await connection.select("INBOX")
        await connection.unselect()
        assert connection.state is State.AUTHENTICATED
    connection.kill()


async def test_esearch_of_another_command_is_not_ours(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.expect(r"UID SEARCH RETURN \(ALL\) ALL")
        session.say('* ESEARCH (TAG "other") UID ALL 1:9', f'* ESEARCH (TAG "{session.tag}") UID ALL 5,3:4', "TAG OK")
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    await connection.select("INBOX")
    assert str(await connection.uid_search()) == "3:5"
    connection.kill()


async def test_inbox_is_written_so_whatever_the_server_writes(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.log_in()
        session.answer('LIST "" ".*"', '* LIST (\\NoInferiors) "/" inbox', '* LIST (\\NONEXISTENT) "/" {3}\r\na&b')
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    inbox, undecodable = (await connection.list_mailboxes("%")).mailboxes
    assert inbox.name == "INBOX"
    assert not undecodable.selectable
    assert "\U0010f026" in undecodable.name
    connection.kill()


async def test_a_refused_fetch_keeps_what_came_and_says_why(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.answer("UID FETCH 1:3 .*", message(1), end="NO some could not be fetched")
        session.answer("UID FETCH 1:3 .*", message(1), end="NO [EXPUNGEISSUED] some are gone")
        session.answer("UID FETCH 2 .*", end="NO [UNAVAILABLE] disk")
        session.answer("UID FETCH 2 .*", end="NO bad message")
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    await connection.select("INBOX")
    stream = connection.uid_fetch_messages("1:3", limit=10)
    assert (await anext(stream)).uid == 1
    with pytest.raises(CommandFailed, match="some could not be fetched"):
        await anext(stream)
    assert [found.uid for found in await every(connection.uid_fetch_messages("1:3", limit=10))] == [1]
    with pytest.raises(CommandFailed) as caught:
        await connection.uid_fetch_part(2, 0, 10)
    assert caught.value.scope is Scope.ACCOUNT
    with pytest.raises(CommandFailed) as caught:
        await connection.uid_fetch_part(2, 0, 10)
    assert caught.value.scope is Scope.MESSAGE
    connection.kill()


async def test_a_server_that_ignores_offsets_stops_only_that_message(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.answer("UID FETCH 1 .*", "* 1 FETCH (UID 1 BODY[] {3}\r\nabc)")
        session.answer("UID FETCH 1 .*", "* 1 FETCH (UID 1 BODY[] {3}\r\nabc)")
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    await connection.select("INBOX")
    with pytest.raises(CommandFailed) as caught:
        await connection.uid_fetch_part(1, 5, 10)
    assert (caught.value.scope, caught.value.retry) == (Scope.MESSAGE, Retry.NEVER)
    assert await connection.uid_fetch_part(1, 0, 10) == b"abc"
    connection.kill()


async def test_more_than_was_asked_for_is_not_held(scripted_imap: Serve) -> None:
    body = "x" * 3_000_000

    def script(session: Session) -> None:
        session.begin()
        session.answer("UID FETCH 1 .*", message(1, body))
        session.answer("UID FETCH 1 .*", f"* 1 FETCH (UID 1 BODY[]<5> {{{len(body)}}}\r\n{body})")
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    await connection.select("INBOX")
    (found,) = await every(connection.uid_fetch_messages("1", limit=1000))
    assert (len(found.body or b""), found.complete) == (1000, False)
    assert len(await connection.uid_fetch_part(1, 5, 70_000)) == 70_000
    connection.kill()


async def test_a_very_long_set_of_uids_goes_in_several_commands(scripted_imap: Serve) -> None:
    lengths: list[int] = []

    def answers(session: Session) -> Iterator[Any]:
        found = session.expect(r"UID FETCH ([0-9,]+) \(.*\)")
        lengths.append(len(found[0]))
        uids = found[1].split(",")
        session.say(*(f"* {uid} FETCH (UID {uid} FLAGS () RFC822.SIZE 5)" for uid in uids), "TAG OK done")
        yield from uids

    def script(session: Session) -> None:
        session.begin()
        seen = 0
        while seen < 5000:
            seen += len(list(answers(session)))
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    await connection.select("INBOX")
    uids = UidSet(range(1, 10_000, 2))
    assert UidSet(fact.uid for fact in await connection.uid_fetch_facts(uids)) == uids
    assert len(lengths) > 1
    assert max(lengths) < 8000
    connection.kill()


async def test_a_listing_comes_with_the_number_of_messages_as_it_stood_when_the_command_ended(
    dovecot: Dovecot, connection: ImapConnection
) -> None:
    await asyncio.to_thread(dovecot.append_many, [b"x: y\r\n\r\n"] * 5)
    await connection.select("INBOX")
    assert await connection.uid_search_all() == Listing(UidSet(range(1, 6)), 5)
    await asyncio.to_thread(dovecot.expunge, 2)
    await connection.noop()
    assert await connection.uid_search_all() == Listing(UidSet([1, 3, 4, 5]), 4)
    assert await connection.uid_fetch_uids() == UidSet([1, 3, 4, 5])
    assert await connection.uid_fetch_uids(4) == UidSet([4, 5])
    assert await connection.uid_fetch_uids(99) == UidSet()  # Dovecot gives the last one, which is below


async def test_a_listing_that_contradicts_exists_can_be_told(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin(exists=3, capabilities="IMAP4rev1")
        session.answer("UID SEARCH ALL", "* SEARCH 0 3 3")
        session.answer(r"UID FETCH 1:\* \(UID\)", *(f"* {n} FETCH (UID {n})" for n in (1, 2, 3)))
        session.expect("UID SEARCH ALL")
        session.say("* 2 EXPUNGE", "* SEARCH 1 3", "TAG OK", "* 9 EXISTS")
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    await connection.select("INBOX")
    assert await connection.uid_search_all() == Listing(UidSet([3]), 3)
    assert await connection.uid_fetch_uids() == UidSet([1, 2, 3])
    assert await connection.uid_search_all() == Listing(UidSet([1, 3]), 2)  # what came behind its end is not of it
    connection.kill()


@pytest.mark.parametrize("answer", ["* SEARCH 1 x", '* ESEARCH (TAG "TAG") UID ALL 1,x'])
async def test_a_listing_that_cannot_be_read_fails_and_is_no_short_one(scripted_imap: Serve, answer: str) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.expect("UID SEARCH .*")
        session.say("* SEARCH 2 3", answer.replace("TAG", session.tag), "TAG OK")
        session.answer("NOOP")
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    await connection.select("INBOX")
    with pytest.raises(CommandFailed) as caught:
        await connection.uid_search_all()
    assert (caught.value.scope, caught.value.retry) == (Scope.MAILBOX, Retry.LATER)
    await connection.noop()
    connection.kill()


async def test_a_listing_by_fetch_that_lacks_a_uid_fails(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.answer(r"UID FETCH 1:\* .*", "* 1 FETCH (UID 1)", "* 2 FETCH (FLAGS (\\Seen))", "* 0 FETCH (UID 2)")
        session.answer(r"UID FETCH 1:\* .*", "* 1 FETCH (UID 1)", "* 2 FETCH (MODSEQ (7))")
        session.answer(r"UID FETCH 1:\* .*", "* 1 FETCH (UID 1)", "* 2 FETCH (FLAGS (\\Seen))")
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    await connection.select("INBOX")
    for _ in range(2):
        with pytest.raises(CommandFailed, match="UID FETCH"):
            await connection.uid_fetch_uids()
    assert await connection.uid_fetch_uids() == UidSet([1])  # news of flags are no answer
    connection.kill()


@pytest.mark.parametrize("cut", ["* SEARCH 1 2", "* SEARCH 1 2\r\n", '* ESEARCH (TAG "TAG") UID ALL 1:2\r\n* SEAR'])
async def test_an_answer_that_is_cut_by_the_end_of_the_connection_is_no_answer(scripted_imap: Serve, cut: str) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.expect("UID SEARCH .*")
        session.send(cut.replace("TAG", session.tag))

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    await connection.select("INBOX")
    with pytest.raises(ConnectionLost):
        await connection.uid_search_all()


@pytest.mark.parametrize("told", ["[UIDVALIDITY 0]", "[UIDVALIDITY 99999999999]", "[UIDVALIDITY x]", ""])
async def test_a_uidvalidity_that_is_none_is_told_of_with_its_value(scripted_imap: Serve, told: str) -> None:
    def script(session: Session) -> None:
        session.log_in()
        session.answer("SELECT .*", "* 3 EXISTS", f"* OK {told} x", "* OK [UIDNEXT 4] x")
        session.answer("SELECT .*", "* OK [UIDVALIDITY 4294967295] x", "* OK [UIDNEXT 0] x", "* OK [HIGHESTMODSEQ 0] x")
        session.answer("SELECT .*", "* 0 EXISTS", "* OK [UIDVALIDITY 1] x", "* OK [UIDNEXT 4294967296] x")
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    with pytest.raises(CommandFailed, match="RFC 9051 §9") as caught:
        await connection.select("INBOX")
    assert (told.strip("[]").partition(" ")[2] or "no UIDVALIDITY") in str(caught.value)
    assert (caught.value.scope, caught.value.retry) == (Scope.MAILBOX, Retry.LATER)
    assert await connection.select("INBOX") == Selected(4294967295, None, None, None)
    assert await connection.select("INBOX") == Selected(1, 4294967296, 0, None)
    connection.kill()


@pytest.mark.parametrize(
    ("answer", "end", "status"),
    [
        ('* STATUS "INBOX" ()', "OK", MailboxStatus(None, None, None, None)),
        ("* STATUS INBOX (MESSAGES 3 UIDVALIDITY 7)", "OK", MailboxStatus(7, None, 3, None)),
        ("* STATUS INBOX (MESSAGES 3 UIDVALIDITY 0 UIDNEXT 99999999999)", "OK", MailboxStatus(None, None, 3, None)),
        ("* STATUS INBOX", "OK", MailboxStatus(None, None, None, None)),
        ("* OK", "OK", MailboxStatus(None, None, None, None)),
        ("* OK", "BAD unknown command", MailboxStatus(None, None, None, None)),
        ("* OK", "NO [SERVERBUG] oops", MailboxStatus(None, None, None, None)),
    ],
)
async def test_a_status_that_tells_less_is_no_error(
    scripted_imap: Serve, answer: str, end: str, status: MailboxStatus
) -> None:
    def script(session: Session) -> None:
        session.log_in()
        session.answer("STATUS .*", answer, end=end)
        session.answer("STATUS .*", end="NO [LIMIT] slow down")
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    assert await connection.status("INBOX") == status
    with pytest.raises(CommandFailed) as caught:
        await connection.status("INBOX")
    assert (caught.value.scope, caught.value.retry_after) == (Scope.ACCOUNT, 60)
    connection.kill()


async def test_a_mailbox_that_cannot_be_read_from_a_list_hides_no_other(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.log_in()
        session.answer("LIST .*", "* LIST nonsense", '* LIST () "/" INBOX')
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    listed = await connection.list_mailboxes("*")
    assert [found.name for found in listed.mailboxes] == ["INBOX"]
    assert not listed.whole
    connection.kill()


async def test_facts_that_lack_something_are_given_all_the_same(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.answer(
            "UID FETCH 1:3 .*",
            "* 1 FETCH (UID 1 FLAGS ())",
            '* 2 FETCH (UID 2 FLAGS () INTERNALDATE "00-Jan-0000 00:00:00 +0000" RFC822.SIZE 5)',
        )
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    await connection.select("INBOX")
    facts = await connection.uid_fetch_facts(UidSet([1, 2, 3]))
    assert [(fact.uid, fact.size, fact.internaldate) for fact in facts] == [(1, None, None), (2, 5, None)]
    connection.kill()


async def test_a_size_that_is_an_estimate_does_not_hide_that_the_body_is_whole(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.answer("UID FETCH .*", re.sub("RFC822.SIZE 5", "RFC822.SIZE 9", message(1, "abcde")))
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    await connection.select("INBOX")
    (found,) = await every(connection.uid_fetch_messages("1", limit=100))
    assert (found.size, found.body, found.complete) == (9, b"abcde", True)
    connection.kill()
