"""`mozzart import-django`: a database that Django made becomes ours, and nothing in it is announced again."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, closing
from pathlib import Path

import pytest

from mailcore.bus import Bus
from mailcore.store import Store
from tests.support.dovecot import Dovecot
from tests.support.mail import Mail, make_mail
from tests.support.processes import Mozzart
from tests.support.stores import KEY, NOW, message_row

# The models of the old application, as one writes them: managed, with Django's own column types.
OLD_APPLICATION = """
import sys
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    USE_TZ=True, INSTALLED_APPS=[], DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", MEDIA_ROOT=sys.argv[2],
)
django.setup()
from datetime import datetime, timezone
from django.core.files.base import ContentFile
from django.db import connection, models

class MailboxState(models.Model):
    mailbox = models.CharField(max_length=255, unique=True)
    uidvalidity = models.BigIntegerField(null=True)
    last_uid = models.BigIntegerField(default=0)
    last_sync_at = models.DateTimeField(null=True)
    class Meta:
        app_label = "mailbox_app"

class MailMessage(models.Model):
    mailbox = models.ForeignKey(MailboxState, models.CASCADE)
    uid = models.BigIntegerField()
    message_id = models.CharField(max_length=998)
    subject = models.TextField()
    from_email = models.EmailField()
    to_emails = models.JSONField(default=list)
    received_at = models.DateTimeField()
    body_text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    class Meta:
        app_label = "mailbox_app"

class MailAttachment(models.Model):
    message = models.ForeignKey(MailMessage, models.CASCADE)
    filename = models.CharField(max_length=255)
    content_type = models.CharField(max_length=255)
    file = models.FileField(upload_to="mail_attachments/%Y/%m/%d")
    class Meta:
        app_label = "mailbox_app"

with connection.schema_editor() as editor:
    for model in (MailboxState, MailMessage, MailAttachment):
        editor.create_model(model)

state = MailboxState.objects.create(
    mailbox="inbox", uidvalidity=int(sys.argv[3]) or None, last_uid=max(map(int, sys.argv[4:])),
    last_sync_at=datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc),
)
for uid in map(int, sys.argv[4:]):
    message = MailMessage.objects.create(
        mailbox=state, uid=uid, message_id=f"<{uid}@example.org>", subject=f"Größe {uid}", from_email="a@example.org",
        to_emails=["anna@example.org"], received_at=datetime(2024, 5, 6, 7, 8, uid, tzinfo=timezone.utc), body_text="x",
    )
    MailAttachment.objects.create(
        message=message, filename=f"Übersicht {uid}.pdf", content_type="application/pdf",
        file=ContentFile(b"content %d" % uid, name=f"ubersicht-{uid}.pdf"),
    )
"""


def make_old(home: Path, uidvalidity: int, uids: list[int]) -> tuple[str, Path]:
    """The URL of a database with a message and an attachment for each UID, and its MEDIA_ROOT."""
    database, media = home / "old.sqlite3", home / "old-media"
    arguments = [str(database), str(media), str(uidvalidity), *map(str, uids)]
    done = subprocess.run(
        [sys.executable, "-c", OLD_APPLICATION, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return f"sqlite:///{database}", media


def server_uidvalidity(dovecot: Dovecot) -> int:
    with dovecot.connect("INBOX") as connection:
        return int(connection.response("UIDVALIDITY")[1][0])


async def announced(url: str) -> list[tuple[str, str]]:
    """What is in the streams: (last token of the subject, identity)."""

    async def read(bus: Bus) -> AsyncIterator[tuple[str, str]]:
        position = sum([(await bus.position(stream)).messages for stream in ("MAIL", "MAIL_BACKFILL", "MAIL_EVENTS")])
        async with aclosing(bus.tail("mail.>", since="all")) as events:
            while position:
                event = await anext(events)
                yield event.subject.rpartition(".")[2], event.headers["ce-id"]
                position -= 1

    bus = await Bus.connect(url, name="test")
    try:
        async with asyncio.timeout(30):
            return [one async for one in read(bus)]
    finally:
        await bus.close()


def test_nothing_that_django_had_stored_is_announced_again_and_what_comes_after_is_new(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mails: list[Mail] = [make_mail(number) for number in range(4)]
    uids = dovecot.append_many([mail.raw for mail in mails[:3]])
    mozzart = make_mozzart().use(dovecot)
    url, media = make_old(mozzart.home, server_uidvalidity(dovecot), uids)
    before = Path(url.removeprefix("sqlite:///")).read_bytes()

    done = mozzart.run("import-django", "--database-url", url, "--media-root", str(media))
    assert done.returncode == 0, done.stderr
    assert "imported: 3 messages, 3 attachments" in done.stdout
    again = mozzart.run("import-django", "--database-url", url, "--media-root", str(media))
    assert again.returncode == 0, again.stderr
    assert Path(url.removeprefix("sqlite:///")).read_bytes() == before

    while_nobody_looked = dovecot.append(mails[3].raw)
    mozzart.start().wait_ready()
    mozzart.wait_stored(4)
    mozzart.wait_live("idling")
    swept = mozzart.http("POST", "/api/mailbox/sync/?wait=30").json
    assert (swept["status"], swept["found"], swept["expunged"]) == ("ok", 0, 0)

    nats_url = (mozzart.home / "data" / "nats.url").read_text().strip()
    told = [(kind, identity) for kind, identity in asyncio.run(announced(nats_url)) if kind != "synced"]
    identity = f"default/INBOX/{server_uidvalidity(dovecot)}/{while_nobody_looked}"
    assert sorted(told) == [("new", identity), ("stored", f"{identity}/stored")]

    rows = mozzart.rows("SELECT * FROM mailbox_app_mailmessage ORDER BY uid")
    assert [row["uid"] for row in rows] == [*uids, while_nobody_looked]
    assert (rows[0]["subject"], rows[0]["to_emails"]) == (f"Größe {uids[0]}", '["anna@example.org"]')
    assert rows[0]["received_at"] == f"2024-05-06 07:08:{uids[0]:02}.000000"
    for attachment in mozzart.rows(
        "SELECT a.*, m.uid FROM mailbox_app_mailattachment a JOIN mailbox_app_mailmessage m ON m.id = a.message_id"
    ):
        content = (mozzart.media / attachment["file"]).read_bytes()
        assert content == b"content %d" % attachment["uid"]
        assert attachment["sha256"] == hashlib.sha256(content).hexdigest()
        assert attachment["filename"] == f"Übersicht {attachment['uid']}.pdf"


def test_without_a_uidvalidity_nothing_is_imported_until_one_is_given(make_mozzart: Callable[..., Mozzart]) -> None:
    mozzart = make_mozzart()
    url, media = make_old(mozzart.home, 0, [1, 2])

    done = mozzart.run("import-django", "--database-url", url, "--media-root", str(media))
    assert done.returncode == 1
    assert "its UIDVALIDITY is not known" in done.stderr
    assert mozzart.stored() == 0

    done = mozzart.run(
        "import-django", "--database-url", url, "--media-root", str(media), "--uidvalidity", "7", "--account", "work"
    )
    assert done.returncode == 0, done.stderr
    (state,) = mozzart.rows("SELECT * FROM mailbox_app_mailboxstate WHERE account = 'work'")
    assert (state["uidvalidity"], state["first_uidnext"], state["stored_count"]) == (7, 3, 2)


def test_files_that_are_not_there_are_named_and_their_messages_imported(make_mozzart: Callable[..., Mozzart]) -> None:
    mozzart = make_mozzart()
    url, media = make_old(mozzart.home, 7, [1, 2])
    (lost, _) = sorted(media.rglob("*.pdf"))
    lost.unlink()
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE mailbox_app_mailattachment SET file = '../../etc/passwd' WHERE id = 2")

    done = mozzart.run("import-django", "--database-url", url, "--media-root", str(media))
    assert done.returncode == 1
    assert "2 attachment files are not there" in done.stderr
    assert lost.name in done.stderr
    assert mozzart.stored() == 2
    assert mozzart.files() == set()


def test_the_import_refuses_its_own_database_and_a_wrong_one_in_words(make_mozzart: Callable[..., Mozzart]) -> None:
    mozzart = make_mozzart()
    own = mozzart.run("import-django", "--database-url", f"sqlite:///{mozzart.database}")
    assert (own.returncode, "our own DATABASE_URL" in own.stderr) == (78, True)
    absent = mozzart.run("import-django", "--database-url", "sqlite:////nowhere/old.sqlite3")
    assert (absent.returncode, "is not there" in absent.stderr) == (78, True)
    empty = mozzart.home / "empty.sqlite3"
    empty.touch()
    other = mozzart.run("import-django", "--database-url", f"sqlite:///{empty}")
    assert (other.returncode, "no table mailbox_app_mailboxstate" in other.stderr) == (78, True)


@pytest.mark.asyncio
async def test_a_postgresql_database_is_read_as_well(postgres_url: str, make_mozzart: Callable[..., Mozzart]) -> None:
    old = await Store.open(postgres_url)
    await old.upgrade()
    state = await old.save_mailbox(KEY, uidvalidity=7, last_uid=9)
    await old.insert_messages([message_row(state.id, uid) for uid in (4, 9)])
    await old.close()
    mozzart = make_mozzart(DJANGO_DATABASE_URL=postgres_url)

    done = await asyncio.to_thread(mozzart.run, "import-django")
    assert "imported: 2 messages, 2 attachments" in done.stdout, done.stderr

    rows = mozzart.rows("SELECT * FROM mailbox_app_mailmessage ORDER BY uid")
    assert [(row["uidvalidity"], row["uid"], row["sha256"]) for row in rows] == [
        (7, uid, f"{uid:064x}") for uid in (4, 9)
    ]
    assert rows[0]["headers"] == '[["Subject","Grüße"],["X","1"],["X","2"]]'
    assert rows[0]["received_at"] == NOW.replace(tzinfo=None).isoformat(" ")
