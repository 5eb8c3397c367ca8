"""What people and programs read of the stored messages, on both databases."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import event
from sqlalchemy.engine import Engine

from mailcore.events.identity import Identity, MailboxKey
from mailcore.store import Cursor, MessageFilter, Move, Portion, Slot, Store, StoredAt
from tests.support.stores import KEY, NOW, message_row, query

OTHER = MailboxKey("second", "Archiv/2024")


async def found(store: Store, **wanted: Any) -> list[int]:
    """The UIDs of the first page."""
    return [each.uid for each in (await store.list_messages(MessageFilter(**wanted))).messages]


@pytest_asyncio.fixture
async def box(store: Store) -> int:
    return (await store.save_mailbox(KEY, uidvalidity=7)).id


@pytest.mark.asyncio
async def test_pages_follow_each_other_newest_first_and_miss_nothing(store: Store, box: int) -> None:
    # Two of one second, and stored in another order than received: a backlog comes newest first.
    times = {uid: NOW - timedelta(seconds=uid // 2) for uid in range(1, 24)}
    await store.insert_messages([message_row(box, uid, received_at=times[uid], subject="wort") for uid in times])
    for wanted in (MessageFilter(), MessageFilter(query="wort"), MessageFilter(mailbox="INBOX", has_attachments=True)):
        seen, cursor, pages = [], None, 0
        while True:
            page = await store.list_messages(wanted, cursor, 5)
            seen += [(one.received_at, one.id) for one in page.messages]
            pages += 1
            if page.next is None:
                break
            cursor = page.next
        assert (len(seen), pages) == (23, 5)
        assert seen == sorted(set(seen), reverse=True)


@pytest.mark.asyncio
@pytest.mark.parametrize("words", [{}, {"query": "wort"}], ids=["all", "search"])
async def test_read_flagged_and_answered_are_filters(store: Store, box: int, words: dict[str, str]) -> None:
    flags = {1: (), 2: ("\\Seen",), 3: ("$Seen", "\\Flagged"), 4: ("\\Answered", "\\Flagged", "\\Seen")}
    times = {uid: NOW - timedelta(seconds=uid) for uid in flags}
    await store.insert_messages(
        [message_row(box, uid, flags=flags[uid], received_at=times[uid], subject="wort") for uid in flags]
    )
    assert await found(store, seen=True, **words) == [2, 4]
    assert await found(store, seen=False, **words) == [1, 3], "a keyword that looks like it is another flag"
    assert await found(store, flagged=True, **words) == [3, 4]
    assert await found(store, flagged=False, **words) == [1, 2]
    assert await found(store, answered=True, **words) == [4]
    assert await found(store, seen=True, answered=False, **words) == [2]
    (one,) = (await store.list_messages(MessageFilter(answered=True))).messages
    assert (one.seen, one.flagged, one.answered, one.flags_at) == (True, True, True, None)


@pytest.mark.asyncio
async def test_the_last_page_that_is_full_has_no_next_one(store: Store, box: int) -> None:
    await store.insert_messages([message_row(box, uid) for uid in (1, 2)])
    assert (await store.list_messages(MessageFilter(), None, 2)).next is None
    assert (await store.list_messages(MessageFilter(), None, 1)).next is not None


@pytest.mark.asyncio
@pytest.mark.parametrize("oldest_first", [False, True], ids=["desc", "asc"])
@pytest.mark.parametrize(
    "wanted",
    [
        MessageFilter(),
        MessageFilter(query="wort"),
        MessageFilter(recipients="carl", subject="wort"),
        MessageFilter(stored_since=NOW, mailbox="INBOX"),
        MessageFilter(message_id="<same@example.org>"),
        MessageFilter(has_attachments=True),
    ],
    ids=["all", "words", "fields", "stored", "message-id", "attachments"],
)
async def test_pages_of_either_order_stay_as_they_are_whatever_comes_meanwhile(
    store: Store, box: int, wanted: MessageFilter, oldest_first: bool
) -> None:
    facts = {"subject": "wort", "to_emails": ("carl@example.org",), "message_id": "<same@example.org>"}
    uids = itertools.count(1)
    random = Random(7)

    async def come(*seconds: int) -> None:
        rows = [message_row(box, next(uids), received_at=NOW + timedelta(seconds=at), **facts) for at in seconds]
        await store.insert_messages(rows)

    async def whole() -> list[tuple[datetime, int]]:
        page = await store.list_messages(wanted, limit=1000, oldest_first=oldest_first)
        return [(one.received_at, one.id) for one in page.messages]

    await come(*(random.randrange(-20, 20) for _ in range(40)))
    for limit in (1, 7, 40):
        before = await whole()
        assert before == sorted(before, reverse=not oldest_first)
        assert len(before) == await store.total(wanted)
        seen: list[tuple[datetime, int]] = []
        cursor = None
        while True:
            page = await store.list_messages(wanted, cursor, limit, oldest_first=oldest_first)
            seen += [(one.received_at, one.id) for one in page.messages]
            cursor = page.next
            if cursor is None:
                break
            if len(seen) < 20:
                await come(-100, random.randrange(-20, 20))
        assert seen == sorted(set(seen), reverse=not oldest_first), "each once, in its place"
        assert set(before) <= set(seen)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "wanted", [MessageFilter(), MessageFilter(query="wort"), MessageFilter(mailbox="INBOX")], ids=["all", "q", "box"]
)
async def test_a_count_may_end_early(store: Store, box: int, wanted: MessageFilter) -> None:
    await store.insert_messages([message_row(box, uid, subject="wort") for uid in range(1, 8)])
    assert [await store.total(wanted, most) for most in (None, 100, 7, 6, 1)] == [7, 7, 7, 6, 1]


@pytest.mark.asyncio
async def test_a_list_has_names_of_attachments_and_a_line_of_the_text(store: Store, box: int) -> None:
    part = message_row(box, 1).attachments[0]
    many = tuple(replace(part, part_id=f"{number}", filename=f"{number}.pdf") for number in range(30))
    long = replace(part, part_id="a", filename="ä" * 5000)
    logo = replace(part, part_id="b", inline=True, filename="logo.png")
    await store.insert_messages(
        [
            message_row(box, 3, attachments=(logo, long, *many)),
            message_row(box, 2, attachments=(), body_text="\n\n  Guten\tTag,\n> quoted\n  bis morgen\n"),
            message_row(box, 1, body_html="<p>Käse</p>", search_text="Käse"),
        ]
    )
    by_uid = {one.uid: one for one in (await store.list_messages(MessageFilter(), snippets=True)).messages}
    assert by_uid[3].attachment_names == ("ä" * 200, *(f"{number}.pdf" for number in range(19)))
    assert (by_uid[2].attachment_names, by_uid[1].attachment_names) == ((), ("größe.pdf",))
    assert (by_uid[1].snippet, by_uid[2].snippet, by_uid[3].snippet) == ("Käse", "Guten Tag, bis morgen", "")
    assert {one.snippet for one in (await store.list_messages(MessageFilter())).messages} == {None}


@pytest.mark.asyncio
async def test_what_is_looked_for_in_one_field_is_not_found_in_another(store: Store, box: int) -> None:
    await store.insert_messages(
        [
            message_row(box, 1, subject="Käse von Anna", received_at=NOW + timedelta(days=4)),
            message_row(box, 2, to_emails=("anna@example.org",), received_at=NOW + timedelta(days=3)),
            message_row(box, 3, cc_emails=("Anna.Miller@example.org",), received_at=NOW + timedelta(days=2)),
            message_row(box, 4, from_name="Anna", body_text="anna kaese", received_at=NOW + timedelta(days=1)),
        ]
    )
    assert await found(store, query="anna") == [1, 2, 3, 4]
    assert await found(store, subject="anna") == [1]
    assert await found(store, subject='"kase von" an*') == [1]
    assert await found(store, recipients="ANNA") == [2, 3]
    assert await found(store, recipients="anna@example.org") == [2]
    assert await found(store, recipients="anna", query="miller") == [3]
    assert await found(store, recipients="anna", subject="anna") == []
    assert await found(store, recipients="anna", sender="anna") == []
    assert await found(store, subject="!!!") == await found(store, recipients="?") == []
    assert await store.total(MessageFilter(recipients="?")) == 0
    assert await store.total(MessageFilter(account="nobody")) == 0


@pytest.mark.asyncio
async def test_a_message_id_is_found_whole_however_long_it_is(store: Store, box: int) -> None:
    long = f"<{'x' * 100_000}@example.org>"
    ids = {1: "<a@example.org>", 2: "<a@example.org>", 3: "a@example.org", 4: long, 5: ""}
    await store.insert_messages([message_row(box, uid, message_id=ids[uid]) for uid in ids])
    assert await found(store, message_id="<a@example.org>") == [2, 1]
    assert await found(store, message_id="a@example.org") == [3, 2, 1]
    assert await found(store, message_id="a@example.org", subject="Grüße") == [3, 2, 1]
    assert await found(store, message_id=long) == [4]
    assert await found(store, message_id="a@example") == []


@pytest.mark.asyncio
async def test_what_was_stored_since_is_found_whenever_it_was_received(store: Store, box: int) -> None:
    await store.insert_messages(
        [
            message_row(box, 1, received_at=NOW, stored_at=NOW + timedelta(hours=2)),
            message_row(box, 2, received_at=NOW + timedelta(hours=1), stored_at=NOW + timedelta(hours=1)),
        ]
    )
    assert await found(store, stored_since=NOW) == [2, 1]
    assert await found(store, stored_since=NOW + timedelta(hours=2)) == [1]
    assert await found(store, stored_since=NOW + timedelta(hours=2), subject="Grüße") == [1]
    assert await found(store, stored_since=NOW + timedelta(hours=3)) == []


@pytest.mark.asyncio
async def test_mail_that_comes_between_two_pages_shifts_nothing(store: Store, box: int) -> None:
    await store.insert_messages([message_row(box, uid, received_at=NOW + timedelta(minutes=uid)) for uid in (1, 2, 3)])
    first = await store.list_messages(MessageFilter(), None, 2)
    await store.insert_messages([message_row(box, 9, received_at=NOW + timedelta(minutes=9))])
    second = await store.list_messages(MessageFilter(), first.next, 2)
    assert [each.uid for each in (*first.messages, *second.messages)] == [3, 2, 1]


@pytest.mark.asyncio
async def test_each_filter_narrows_the_list(store: Store, box: int) -> None:
    other = (await store.save_mailbox(OTHER, uidvalidity=7)).id
    third = (await store.save_mailbox(MailboxKey("second", "INBOX"), uidvalidity=7)).id
    day = timedelta(days=1)
    await store.insert_messages(
        [
            message_row(box, 1, received_at=NOW - 3 * day, attachments=()),
            message_row(box, 2, received_at=NOW - 2 * day, from_name="Jürgen Groß", from_email="j.gross@example.org"),
            message_row(other, 3, received_at=NOW - day, from_email="anna@example.org"),
            message_row(third, 4, received_at=NOW, to_emails=("jürgen@example.org",)),
        ]
    )
    await store.mark_expunged([(Identity(OTHER.account, OTHER.mailbox, 7, 3), NOW, 0)])
    assert await found(store) == [4, 3, 2, 1]
    assert await found(store, account="second") == [4, 3]
    assert await found(store, mailbox="INBOX") == [4, 2, 1]
    assert await found(store, account="second", mailbox="Archiv/2024") == [3]
    assert await found(store, account="nobody") == []
    assert await found(store, sender="jurgen") == await found(store, sender="j.gross@example.org") == [2]
    assert await found(store, sender="example.org") == [3, 2]
    assert await found(store, since=NOW - 2 * day) == [4, 3, 2]
    assert await found(store, until=NOW - 2 * day) == [1]
    assert await found(store, since=NOW - 2 * day, until=NOW, sender="example.org") == [3, 2]
    assert await found(store, since=NOW - 2 * day + timedelta(microseconds=1), sender="example.org") == [3]
    assert await found(store, until=NOW - day, sender="example.org") == [2]
    assert await found(store, has_attachments=False) == [1]
    assert await found(store, has_attachments=True, mailbox="INBOX") == [4, 2]
    assert await found(store, expunged=True) == [3]
    assert await found(store, expunged=False) == [4, 2, 1]
    assert await found(store, expunged=False, sender="example") == [2]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("typed", "uids"),
    [
        ("rechnung", [1]),
        ("RECHNUNG 4711", [1]),
        ("4711 rechnung", [1]),
        ('"rechnung 4711"', []),
        ('"rechnung nr 4711"', [1]),
        ('"nr. 4711', [1]),
        ("rech*", [1]),
        ("rech", [1]),
        ('"überweisung am mon*', []),
        ("uberweisung", [1]),
        ("überweisung", [1]),
        ("u\u0308berweisung", [1]),
        ("überweisung wal*", [1]),
        ("übersetzung", []),
        ("anna", [1]),
        ("carl@example.org", [1]),
        ("dora", [1]),
        ("kaffee", [2]),
        ("html-wort", [3]),
        ("1e5 v2.0", [2]),
        ("東京", [2]),
        ("привет", [2]),
        ("mailbox1", []),
        ("attachments", []),
        ("and", []),
        ("AND OR NOT NEAR", []),
        ("!!!", []),
        ('"', []),
        ('""" (', []),
        ("subject:rechnung", [1]),
        ("subject:rech", [1]),
        ("subject:anna", []),
        ("subject:überweisung", []),
        ("from:anna", [1]),
        ("from:ann rechnung", [1]),
        ('from:"ann"', []),
        ("from:carl", []),
        ("to:carl", [1]),
        ("to:dora@example.org", [1]),
        ("to:anna", []),
        ("-from:anna", [3, 2]),
        ("-to:carl", [3, 2]),
        ("-subject:rechnung", [3, 2]),
        ("rechnung -kaffee", [1]),
        ("rechnung -überweisung", []),
        ('-"nr 4711" -kaffee', [3]),
        ("has:attachment -rechnung", [3, 2]),
        ("-has:attachment", []),
        ("after:2024 -kaffee", [3, 1]),
        ("before:2024", []),
        ("in:inbox is:unread", [3, 2, 1]),
        ("in:inbox kaffee", [2]),
        ("-in:inbox", []),
        ("account:DEFAULT html-wort", [3]),
        ("account:other", []),
        ("before:noon", []),
        ("rechnung)", [1]),
        ("rechnung & 4711 | !", [1]),
        ("' OR 1=1 --", []),
        ("\x00", []),
        ("\ud800", []),
        ("*", []),
        ("-rechnung", [3, 2]),
        (" - rechnung", [1]),
        ("x" * 3000, []),
    ],
)
async def test_a_search_finds_the_same_on_both_databases(store: Store, box: int, typed: str, uids: list[int]) -> None:
    await store.insert_messages(
        [
            message_row(
                box,
                1,
                subject="Rechnung Nr. 4711",
                from_name="Anna",
                from_email="anna@example.org",
                to_emails=("Carl@Example.org",),
                cc_emails=("dora@example.org",),
                body_text="Die Überweisung an Walter.",
            ),
            message_row(box, 2, subject="Kaffee 1e5", body_text="<v2.0> Kaffee–Pause “東京” Привет"),
            message_row(box, 3, subject="", body_html="<p>HTML-Wort</p>"),
        ]
    )
    assert await found(store, query=typed) == uids


@pytest.mark.asyncio
async def test_a_blank_search_is_no_filter(store: Store, box: int) -> None:
    await store.insert_messages([message_row(box, 1)])
    assert await found(store, query="  ") == [1]


@pytest.mark.asyncio
async def test_what_is_searched_instead_of_the_text_is_found(store: Store, box: int) -> None:
    await store.insert_messages([message_row(box, 1, body_html="<b>K&auml;se</b>", search_text="Käse")])
    assert await found(store, query="käse") == [1]
    assert await found(store, query="auml") == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "text",
    [
        "wort " * 1_000_000,
        "\U00010428 " * 300_000,
        "".join(chr(0xAC00 + number % 11_000) + " " for number in range(200_000)),
        " ".join(f"{number:x}" for number in range(200_000)),
        "x" * 2_000_000,
        "\u0301" * 200_000,
    ],
    ids=["long", "four-bytes", "hangul", "all-different", "one-word", "accents-alone"],
)
async def test_no_text_is_too_long_to_be_stored(store: Store, box: int, text: str) -> None:
    await store.insert_messages([message_row(box, 1, body_text=text, subject=text, to_emails=(text,), from_name=text)])
    assert await found(store) == [1]


@pytest.mark.asyncio
async def test_a_row_that_is_changed_or_removed_by_others_is_searched_as_it_is_now(
    store: Store, store_url: str, box: int
) -> None:
    await store.insert_messages([message_row(box, uid, subject="früher") for uid in (1, 2)])
    await query(store_url, "UPDATE mailbox_app_mailmessage SET subject = 'später', search_parts = NULL WHERE uid = 1")
    assert (await found(store, query="früher"), await found(store, query="später")) == ([2], [1])
    await query(store_url, "DELETE FROM mailbox_app_mailattachment")
    await query(store_url, "DELETE FROM mailbox_app_mailmessage WHERE uid = 2")
    assert await found(store, query="früher") == []


@pytest.mark.asyncio
async def test_a_rebound_message_is_found_under_its_new_identity(store: Store, box: int) -> None:
    await store.insert_messages([message_row(box, 1, subject="wort")])
    await store.rebind([Move(Slot(box, 7, 1), Slot(box, 8, 5))])
    assert await found(store, query="wort") == [5]


@pytest.mark.asyncio
@pytest.mark.parametrize("moment", [datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)])
async def test_a_time_out_of_this_world_does_not_hide_a_message(store: Store, box: int, moment: datetime) -> None:
    (row_id,) = await store.insert_messages([message_row(box, 1, received_at=moment, subject="wort")])
    page = await store.list_messages(MessageFilter(query="wort"))
    assert [each.id for each in page.messages] == [row_id]
    behind = await store.list_messages(MessageFilter(query="wort"), Cursor(moment, row_id))
    assert behind.messages == ()


@pytest.mark.asyncio
async def test_a_message_is_read_with_all_that_was_stored(store: Store, box: int) -> None:
    way = {
        "pushed_at": NOW - timedelta(seconds=2),
        "published_at": NOW - timedelta(seconds=1),
        "stream_seq": 42,
        "kind": "new",
        "found_by": "push",
    }
    row = message_row(box, 1, body_text="text", body_html="<p>", references=("<a>", "<b>"), flags=("\\Seen",), **way)
    (row_id,) = await store.insert_messages([row])
    detail = await store.message(row_id)
    assert detail is not None
    assert (detail.summary.account, detail.summary.mailbox, detail.summary.uid) == ("default", "INBOX", 1)
    assert {name: getattr(detail, name) for name in way} == way
    assert (detail.headers, detail.references, detail.body_html) == (row.headers, ("<a>", "<b>"), "<p>")
    (part,) = detail.attachments
    assert (part.filename, part.file) == ("größe.pdf", row.attachments[0].file)
    assert await store.attachment(part.id) == part
    assert await store.message(row_id + 1) is None
    assert await store.attachment(part.id + 1) is None
    assert await store.stored_since(NOW) == [StoredAt(NOW, way["pushed_at"], "new", 100)]  # type: ignore[arg-type]  # mixed
    assert await store.stored_since(NOW + timedelta(seconds=1)) == []


@pytest.mark.asyncio
async def test_of_a_message_as_much_is_read_as_was_asked_for(store: Store, box: int) -> None:
    fields = (("Subject", "\u20acuro"), ("X-Long", 'a "quoted" \\ \x01 word ' * 1000), ("X-Last", "x"))
    row = message_row(box, 1, headers=fields, body_text="\u20ac" * 900, body_html="<p>" + "y" * 900)
    (row_id,) = await store.insert_messages([row])
    whole = await store.message(row_id)
    assert whole
    nothing = await store.message(row_id, Portion())
    assert nothing == replace(whole, headers=(), body_text="", body_html="")
    cut = await store.message(row_id, Portion(text=20, html=5, headers=200))
    assert cut
    assert (cut.body_text, cut.body_html) == ("\u20ac" * 20, "<p>yy")
    assert cut.headers[0] == fields[0]
    assert cut.headers[1][0] == "X-Long"
    assert fields[1][1].startswith(cut.headers[1][1])
    assert 100 < len(cut.headers[1][1]) <= 200
    assert await store.message(row_id, Portion(text=900, html=1000, headers=100_000)) == whole


@pytest.mark.asyncio
async def test_a_page_costs_as_many_statements_however_long_it_is(store: Store, box: int) -> None:
    await store.insert_messages([message_row(box, uid, subject="wort") for uid in range(1, 61)])
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    event.listen(Engine, "before_cursor_execute", count)
    try:
        for wanted in (
            MessageFilter(),
            MessageFilter(query="wort"),
            MessageFilter(query="wo*", account="default", has_attachments=True, since=NOW - timedelta(days=1)),
        ):
            taken = []
            for limit in (1, 50):
                statements = 0
                assert len((await store.list_messages(wanted, None, limit)).messages) == limit
                taken.append(statements)
            # PostgreSQL is asked before how many there may be.
            assert taken[0] == taken[1] <= (3 if "sqlite" in str(store) else 6)
        statements = 0
        assert (await store.message(1)) is not None
        assert statements == 2, "the message and all its attachments"
    finally:
        event.remove(Engine, "before_cursor_execute", count)


@pytest.mark.asyncio
async def test_a_search_for_a_beginning_that_most_words_have_is_quick(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/m.db")
    await store.upgrade()
    box = (await store.save_mailbox(KEY, uidvalidity=7)).id
    texts = [" ".join(f"w{number * uid % 9973}" for number in range(500)) for uid in range(1, 2001)]
    await store.insert_messages([message_row(box, uid, body_text=text) for uid, text in enumerate(texts, 1)])
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        assert len((await store.list_messages(MessageFilter(query="w*"), None, 50)).messages) == 50
        seconds.append(time.perf_counter() - began)
    await store.close()
    # Merging a million places of words takes several times as long.
    assert min(seconds) < 0.05
