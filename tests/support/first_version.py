"""What a consumer of the first schema (revision 0001) does to the database, in its own SQL: never changed again.

An upgrade must leave these statements working, while it runs and afterwards.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

_COLUMNS: Final = (
    "mailbox_id, uidvalidity, uid, size, sha256, has_attachments, received_at, sent_at, stored_at, message_id, subject,"
    " from_name, from_email, to_emails, cc_emails, reply_to, in_reply_to, references_ids, flags, defects, headers,"
    " body_text, body_html"
)
_STAMP: Final = "'2024-05-06 07:08:09.123456'"
_MAILBOX: Final = (
    "INSERT INTO mailbox_app_mailboxstate(account, mailbox, uidvalidity, uidnext) VALUES ('default', 'INBOX', 7, 1)"
    " ON CONFLICT (account, mailbox) DO UPDATE SET uidnext = excluded.uidnext RETURNING id"
)
_LOCATE: Final = (
    "SELECT id, size, sha256, stored_at, expunged_at, defects FROM mailbox_app_mailmessage"
    " WHERE mailbox_id = :mailbox_id AND uidvalidity = 7 AND uid IN (:uid)"
)
_MESSAGE: Final = (
    f"INSERT INTO mailbox_app_mailmessage({_COLUMNS}) VALUES (:mailbox_id, 7, :uid, 100, :sha256, TRUE, {_STAMP}, NULL,"
    f" {_STAMP}, '', :subject, 'Anna', 'anna@example.org', '[]', '[]', '[]', '', '[]', '[]', '[]', '[]', :body, '')"
    " ON CONFLICT (mailbox_id, uidvalidity, uid) DO NOTHING RETURNING id"
)
_ATTACHMENT: Final = (
    "INSERT INTO mailbox_app_mailattachment"
    "(message_id, part_id, filename, content_type, size, sha256, content_id, inline, file)"
    " VALUES (:message_id, '2', 'a.pdf', 'application/pdf', 3, '', '', FALSE, :file)"
)
_EXPUNGED: Final = (
    f"UPDATE mailbox_app_mailmessage SET expunged_at = {_STAMP}"
    " WHERE mailbox_id = :mailbox_id AND uidvalidity = 7 AND uid = :uid AND expunged_at IS NULL"
)
_UIDS: Final = (
    "SELECT uid FROM mailbox_app_mailmessage"
    " WHERE mailbox_id = :mailbox_id AND uidvalidity = 7 AND expunged_at IS NULL ORDER BY uid"
)


@dataclass
class FirstConsumer:
    """Stores UID after UID, each one in a transaction that it repeats until it is committed, and some of them twice, as
    redeliveries do. `spans` are the moments (monotonic) between which each UID was being stored; `failures` what was
    repeated."""

    url: str
    spans: dict[int, tuple[float, float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    next_uid: int = 1

    async def __aenter__(self) -> FirstConsumer:
        self._engine = create_async_engine(self.url, connect_args={"timeout": 30})
        self._stop = asyncio.Event()
        async with self._engine.begin() as connection:
            self.mailbox_id = (await connection.execute(text(_MAILBOX))).scalar_one()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._engine.dispose()

    async def fill(self, count: int, body: str) -> None:
        """So many messages in one transaction."""
        async with self._engine.begin() as connection:
            for _ in range(count):
                await self._insert(connection, self.next_uid, body)
                self.next_uid += 1

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        """Until `stop`."""
        while not self._stop.is_set():
            uid, began = self.next_uid, time.monotonic()
            await self._insist(uid)
            if uid % 5 == 0:
                await self._insist(uid - 2)
            self.spans[uid] = (began, time.monotonic())
            self.next_uid += 1

    async def stored_uids(self) -> list[int]:
        async with self._engine.connect() as connection:
            return list((await connection.execute(text(_UIDS), {"mailbox_id": self.mailbox_id})).scalars())

    async def expunge(self, uid: int) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(text(_EXPUNGED), {"mailbox_id": self.mailbox_id, "uid": uid})

    async def _insist(self, uid: int) -> None:
        while True:
            try:
                async with self._engine.begin() as connection:
                    await self._insert(connection, uid, "new mail")
            except DBAPIError as error:
                self.failures.append(str(error.orig))
                await asyncio.sleep(0.01)
            else:
                return

    async def _insert(self, connection: AsyncConnection, uid: int, body: str) -> None:
        key: dict[str, Any] = {"mailbox_id": self.mailbox_id, "uid": uid}
        # Writes first: on SQLite a transaction that reads first cannot wait for its turn to write.
        values = {**key, "sha256": f"{uid:064x}", "subject": f"mail {uid}", "body": body}
        row_id = (await connection.execute(text(_MESSAGE), values)).scalar()
        if row_id is not None:
            file = f"mail_attachments/2024/05/06/{uid}.pdf"
            await connection.execute(text(_ATTACHMENT), {"message_id": row_id, "file": file})
        found = (await connection.execute(text(_LOCATE), key)).all()
        assert len(found) == 1
