"""Rows for tests, and a look into the database that does not go through the store."""

from __future__ import annotations

import asyncio
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from mailcore.events.identity import MailboxKey
from mailcore.store import AttachmentRow, MessageRow, Store

KEY = MailboxKey("default", "INBOX")
NOW = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)


def make_tables(url: str) -> None:
    """What `mozzart db upgrade` does to that database."""

    async def upgrade() -> None:
        store = await Store.open(url)
        try:
            await store.upgrade()
        finally:
            await store.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(upgrade())

    with ThreadPoolExecutor(1) as beside:  # a loop may run in this thread
        beside.submit(run).result()


def begin_with_tables(path: Path) -> None:
    """An SQLite database without rows, unless there is one: to make its tables anew costs more than most tests."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(_with_tables())


@cache
def _with_tables() -> bytes:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "mozzart.db"
        make_tables(f"sqlite+aiosqlite:///{path}")
        return path.read_bytes()


def message_row(mailbox_id: int, uid: int, *, uidvalidity: int = 7, **columns: Any) -> MessageRow:
    """A row with one attachment, its columns as given."""
    part = AttachmentRow(
        part_id="2",
        filename="größe.pdf",
        content_type="application/pdf",
        size=3,
        sha256="b" * 64,
        content_id="",
        inline=False,
        file=f"mail_attachments/2024/05/06/{uidvalidity}-{uid}.pdf",
    )
    facts: dict[str, Any] = {"size": 100, "sha256": f"{uid:064x}", "received_at": NOW, "stored_at": NOW}
    facts |= {"subject": "Grüße 💶", "headers": (("Subject", "Grüße"), ("X", "1"), ("X", "2")), "attachments": (part,)}
    return MessageRow(mailbox_id=mailbox_id, uidvalidity=uidvalidity, uid=uid, **facts | columns)


async def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """What any other program sees: plain SQL on a connection of its own, committed."""
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            result = await connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        await engine.dispose()
