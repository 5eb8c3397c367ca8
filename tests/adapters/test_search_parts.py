"""Parts of words, names of files and unspaced writing are found, on both databases, also in what was stored before."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
import structlog
from structlog.testing import capture_logs

from consumers.indexing import index
from consumers.retrying import Retrying
from mailcore.store import MessageFilter, Store, migration
from mailcore.store.engine import make_engine, parse_url
from tests.support.stores import KEY, message_row, query

FILE = message_row(1, 1).attachments[0]
FILES = (replace(FILE, filename="Jahresabschluss_2024 final.pdf"), replace(FILE, part_id="3", filename="Ñandú.XLSX"))
# By UID.
MESSAGES: dict[int, dict[str, Any]] = {
    1: {"subject": "来週の会議についてご連絡します"},
    2: {"subject": "x", "body_text": "เราจะกินข้าวกันวันนี้ สวัสดีครับ"},
    3: {"subject": "Donaudampfschifffahrt", "from_name": "Hannah Müller", "from_email": "hannahmiller@example.org"},
    4: {"subject": "y", "body_text": "z " * 300 + "東京と京都へ。GitHubの使い方 3月", "attachments": FILES},
    5: {"subject": "w", "body_text": "die Rechnungsnummer; 東京都庁; 보고서를 보냅니다"},
    6: {
        "subject": "v",
        "body_html": "<p>ประชุม",
        "search_text": "ประชุม",
        "to_emails": ("carlotta@example.org",),
        "to_names": ("Charlotte Müller",),
    },
}


async def found(store: Store, typed: str, **wanted: Any) -> list[int]:
    page = await store.list_messages(MessageFilter(query=typed, **wanted))
    return sorted(each.uid for each in page.messages)


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that no other test has bound already."""
    monkeypatch.setattr("consumers.indexing.log", structlog.get_logger())


@pytest_asyncio.fixture
async def box(store: Store) -> int:
    return (await store.save_mailbox(KEY, uidvalidity=7)).id


@pytest.mark.asyncio
async def test_what_is_typed_is_found_within_words_and_where_there_are_no_blanks(store: Store, box: int) -> None:
    await store.insert_messages([message_row(box, uid, **{"attachments": ()} | MESSAGES[uid]) for uid in MESSAGES])
    for typed, uids in {
        # Two characters, one, and many.
        "会議": [1],
        "会": [1],
        "会議について": [1],
        '"会議"': [1],
        "会議 来週": [1],
        "会議がに": [],
        "東京都": [5],
        "京都": [4, 5],
        "고서": [5],
        "กิน": [2],
        "กัน": [2],
        "กุน": [],
        "วันนี้": [2],
        "ชุม": [6],
        # Beside other letters.
        "github": [4],
        "hub": [4],
        "githubの": [4],
        "3月": [4],
        # Within words of subject and people, and long ones of the text.
        "schiff": [3],
        "donau": [3],
        "donaudampfschifffahrt": [3],
        "donaudampfschiffahrt": [],
        "MÜLL": [3, 6],
        "uller": [3, 6],
        "nummer": [5],
        # What is quoted, begins or is not wanted are words.
        '"schiff"': [],
        "schi*": [],
        "-schiff": [1, 2, 3, 4, 5, 6],
        "-donaudampfschifffahrt": [1, 2, 4, 5, 6],
        "-会議": [2, 3, 4, 5, 6],
        # Names of files.
        "abschluss": [4],
        '"2024 final"': [4],
        "final.pdf": [4],
        "pdf": [4],
        "nandu": [4],
        "has:attachment xlsx": [4],
        # In their places.
        "from:miller": [3],
        "from:会議": [],
        "subject:会議": [1],
        "subject:miller": [],
        "subject:東京": [],
        "to:lotta": [6],
        "to:charlotte": [6],
        "to:müller": [6],
        "subject:charlotte": [],
        "to:schiff": [],
        "-subject:会議": [2, 3, 4, 5, 6],
        "schiff in:inbox account:default": [3],
        "schiff 会議": [],
    }.items():
        assert await found(store, typed) == uids, typed
        assert await store.total(MessageFilter(query=typed)) == len(uids), typed
    assert await found(store, "", sender="iller") == await found(store, "", subject="fahrt") == [3]


async def before(url: str, count: int) -> Store:
    """A store with messages that the version before wrote, and one of this version."""
    engine = make_engine(parse_url(url))
    await engine.run(lambda connection: migration.upgrade(connection, "0010"), writes=True)
    await engine.close()
    store = await Store.open(url)
    box = (await store.save_mailbox(KEY, uidvalidity=7)).id
    await store.upgrade()
    await store.insert_messages([message_row(box, uid, subject=f"Dampfschiff{uid}") for uid in range(1, count + 1)])
    await query(url, "UPDATE mailbox_app_mailmessage SET search_parts = NULL")
    await store.insert_messages([message_row(box, count + 1, subject="Dampfschiff")])
    return store


@pytest.mark.asyncio
async def test_what_was_stored_before_is_found_as_before_and_by_its_parts_once_it_is_indexed(store_url: str) -> None:
    store = await before(store_url, 120)
    assert await found(store, "schiff") == [121]
    assert await found(store, "dampfschiff7") == [7]
    with capture_logs() as logs:
        await index(store, Retrying(asyncio.Event()))
        await index(store, Retrying(asyncio.Event()))
    assert [(each["event"], each["messages"]) for each in logs] == [("indexing", 120), ("indexed", 120)]
    assert len((await store.list_messages(MessageFilter(query="schiff"), None, 200)).messages) == 121
    assert await found(store, "schiff7") == [7, *range(70, 80)]
    assert await found(store, '"größe.pdf" dampfschiff7') == [7, *range(70, 80)]

    (row,) = (await store.list_messages(MessageFilter(query='"dampfschiff7"'))).messages
    await store.prune([row.id], datetime.now(UTC))
    assert await found(store, "schiff7") == [*range(70, 80)]
    assert await store.unsearched(None, 10) == []
    await store.close()


@pytest.mark.asyncio
async def test_a_row_that_cannot_be_indexed_stops_no_other(store: Store, box: int, store_url: str) -> None:
    await store.insert_messages([message_row(box, uid, subject=f"Dampfschiff{uid}") for uid in (1, 2, 3)])
    await query(store_url, "UPDATE mailbox_app_mailmessage SET search_parts = NULL")
    await query(store_url, "UPDATE mailbox_app_mailmessage SET to_emails = '7' WHERE uid = 2")
    with capture_logs() as logs:
        await index(store, Retrying(asyncio.Event()))
    assert [each["event"] for each in logs if each["event"] != "fault"] == ["indexing", "row-not-indexed", "indexed"]
    assert len(await store.unsearched(None, 10)) == 1
    await query(store_url, "UPDATE mailbox_app_mailmessage SET to_emails = '[]' WHERE uid = 2")
    assert await found(store, "schiff") == [1, 3]


@pytest.mark.asyncio
async def test_indexing_ends_when_the_process_is_to_stop(store_url: str) -> None:
    store = await before(store_url, 60)
    stop = asyncio.Event()
    stop.set()
    await index(store, Retrying(stop))
    assert await store.count_unsearched() == 10
    await index(store, Retrying(asyncio.Event()))
    assert await store.count_unsearched() == 0
    await store.close()
