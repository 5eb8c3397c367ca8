"""Messages, attachments, sync runs and dead letters over real HTTP, a real nats-server and real databases."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from yarl import URL

from api.dependencies import Dependencies
from api.main import application
from mailcore import undelivered
from mailcore.bus import MAIL, Bus
from mailcore.errors import StoreError
from mailcore.events import control
from mailcore.events.control import (
    MailboxLive,
    MailboxResult,
    MailboxStates,
    MessagePart,
    PartRequest,
    Refusal,
    SyncResult,
    SyncRun,
)
from mailcore.events.identity import MailboxKey
from mailcore.events.undelivered import (
    REDELIVER,
    Redeliver,
    Redelivered,
    undelivered_headers,
    undelivered_subject,
)
from mailcore.settings import Settings
from mailcore.store import AttachmentRow, Store
from tests.support.events import expunged, message
from tests.support.nats import NatsServer
from tests.support.stores import NOW, message_row

TOKEN = "test-token"


class Api:
    def __init__(self, url: str, session: ClientSession, dependencies: Dependencies) -> None:
        self._url = url
        self._session = session
        self.dependencies = dependencies
        self.headers: Mapping[str, str] = {}

    async def raw(self, method: str, path: str, *, redirects: bool = True, **headers: str) -> tuple[int, bytes]:
        sent = {
            "Authorization": f"Bearer {TOKEN}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        url = URL(self._url + path, encoded=True)
        async with self._session.request(method, url, headers=sent, allow_redirects=redirects) as answer:
            self.headers = answer.headers
            return answer.status, await answer.read()

    async def get(self, path: str, *, status: int = 200, method: str = "GET") -> Any:
        got, body = await self.raw(method, path)
        assert got == status, body
        if status >= 400:
            assert self.headers["Content-Type"].startswith("application/problem+json"), body
        return json.loads(body)

    async def uids(self, query: str) -> list[int]:
        return [each["uid"] for each in (await self.get("/api/messages/" + query))["messages"]]


@pytest_asyncio.fixture
async def api(nats_server: NatsServer, bus: Bus, store: Store, store_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    settings = Settings(
        _env_file=None,
        nats_url=nats_server.url,
        database_url=store_url,
        data_dir=tmp_path,
        media_root=tmp_path / "media",
    )
    dependencies = await Dependencies.open(settings)
    runner = web.AppRunner(application(dependencies, TOKEN), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with ClientSession() as session:
        async with asyncio.timeout(10):
            for pause in itertools.repeat(0.01):
                if not await dependencies.faults():
                    break
                await asyncio.sleep(pause)
        yield Api(f"http://127.0.0.1:{runner.addresses[0][1]}", session, dependencies)
    await runner.cleanup()
    await dependencies.close()


def kept(media: Path, content: bytes, name: str = "größe.pdf") -> AttachmentRow:
    """An attachment whose file is there."""
    file = "mail_attachments/2024/05/06/x.pdf"
    (media / file).parent.mkdir(parents=True, exist_ok=True)
    (media / file).write_bytes(content)
    return AttachmentRow("2", name, "text/html", len(content), "b" * 64, "<cid>", True, file)


@pytest.mark.asyncio
async def test_a_list_is_walked_from_page_to_page(api: Api, store: Store, mailbox_id: int) -> None:
    rows = [message_row(mailbox_id, uid, received_at=NOW + timedelta(minutes=uid)) for uid in range(1, 6)]
    await store.insert_messages(rows)
    first = await api.get("/api/messages/?limit=3")
    assert [each["uid"] for each in first["messages"]] == [5, 4, 3]
    second = await api.get(f"/api/messages/?limit=3&cursor={first['next']}")
    assert ([each["uid"] for each in second["messages"]], second["next"]) == ([2, 1], None)
    assert first["messages"][0] == {
        "id": first["messages"][0]["id"],
        "account": "default",
        "mailbox": "INBOX",
        "uidvalidity": 7,
        "uid": 5,
        "message_id": "",
        "subject": "Grüße 💶",
        "from_name": "",
        "from_email": "",
        "to_emails": [],
        "received_at": "2024-05-06T07:13:09.123456Z",
        "sent_at": None,
        "stored_at": "2024-05-06T07:08:09.123456Z",
        "expunged_at": None,
        "size": 100,
        "flags": [],
        "flags_at": None,
        "has_attachments": True,
        "attachment_names": ["größe.pdf"],
        "snippet": None,
    }
    assert first["total"] is None


@pytest.mark.asyncio
async def test_filters_and_search_are_parameters(api: Api, store: Store, mailbox_id: int) -> None:
    other = (await store.save_mailbox(MailboxKey("work", "Entwürfe \ud800"), uidvalidity=1)).id
    day = timedelta(days=1)
    facts = {"to_emails": ("carl@example.org",), "message_id": "<a@example.org>"}
    await store.insert_messages(
        [
            message_row(mailbox_id, 1, received_at=NOW, from_email="anna@example.org", attachments=()),
            message_row(mailbox_id, 2, received_at=NOW + day, body_text="Fotos vom Umbau", **facts),
            message_row(other, 3, received_at=NOW + 2 * day),
        ]
    )
    assert await api.uids("") == [3, 2, 1]
    assert await api.uids("?account=work") == [3]
    assert await api.uids("?mailbox=INBOX") == [2, 1]
    assert await api.uids("?from=anna") == [1]
    assert await api.uids("?since=2024-05-07") == [3, 2]
    assert await api.uids("?until=2024-05-07T00:00:00%2B00:00") == [1]
    assert await api.uids("?since=2024-05-07T09:08:09.123456%2B02:00&until=2024-05-08") == [2]
    assert await api.uids("?has_attachments=false") == [1]
    assert await api.uids("?seen=true") == []
    assert await api.uids("?seen=false&flagged=false&answered=false") == await api.uids("")
    assert await api.uids("?expunged=true") == []
    assert await api.uids("?q=%22vom%20umbau%22%20fot*") == [2]
    assert await api.uids("?to=carl") == await api.uids("?message_id=a%40example.org") == [2]
    assert await api.uids("?subject=gru%C3%9Fe") == [3, 2, 1]
    assert await api.uids("?stored_since=2024-05-07") == []
    for day, kept in (("since=2024-05-06", [3, 2]), ("q=after:2024-05-06", [3, 2]), ("stored_since=2024-05-06", [])):
        assert await api.uids(f"?{day}") == [3, 2, 1]
        assert await api.uids(f"?{day}&zone=Etc/GMT%2B12") == kept, "the day begins there at noon"
    assert await api.uids("?order=asc") == [1, 2, 3]
    first = await api.get("/api/messages/?order=asc&limit=2&total=true&snippet=true&subject=gru%C3%9Fe")
    assert (first["total"], first["total_exact"], [one["snippet"] for one in first["messages"]]) == (
        3,
        True,
        ["", "Fotos vom Umbau"],
    )
    assert await api.uids(f"?order=asc&limit=2&cursor={first['next']}&subject=gru%C3%9Fe") == [3]


@pytest.mark.asyncio
async def test_a_count_ends_where_it_would_take_long(
    api: Api, store: Store, mailbox_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.insert_messages([message_row(mailbox_id, uid) for uid in range(1, 8)])
    for most, told in ((7, (7, True)), (6, (6, False))):
        monkeypatch.setattr("api.routes.messages.COUNTED", most)
        found = await api.get("/api/messages/?subject=gru%C3%9Fe&total=true&limit=1")
        assert (found["total"], found["total_exact"]) == told
    assert (await api.get("/api/messages/?total=true&limit=1"))["total"] == 7


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=1_0",
        "limit=%2B5",
        "limit=%2050",
        "order=newest",
        "total=1",
        "stored_since=today",
        "cursor=x",
        "cursor=AAAAAAAAAAAAAAAAAAAAAA",
        "since=yesterday",
        "since=2024-05-06T07:08:09",
        "since=9999-12-31T23:59:59-10:00",
        "until=0001-01-01T00:00:00%2B10:00",
        "has_attachments=maybe",
        "q=%00",
        "mailbox=a&mailbox=b",
        "form=anna",
        "zone=Nowhere/City",
    ],
)
async def test_a_wrong_parameter_is_named(api: Api, query: str) -> None:
    problem = await api.get(f"/api/messages/?{query}", status=400)
    assert query.split("=")[0] in problem["detail"]


@pytest.mark.asyncio
@pytest.mark.parametrize("query", ["since=0001-01-01", "until=9999-12-31", "q=%ED%A0%80", "account=%ED%A0%80", "q=%FF"])
async def test_an_odd_parameter_is_no_fault(api: Api, query: str) -> None:
    assert (await api.get(f"/api/messages/?{query}"))["messages"] == []


@pytest.mark.asyncio
async def test_accounts_and_mailboxes_are_lists(api: Api, bus: Bus, store: Store, mailbox_id: int) -> None:
    await store.save_mailbox(MailboxKey("work", "Entwürfe \ud800"), message_count=5, stored_count=3)
    await store.save_mailbox(MailboxKey("work", "Gone"), deleted_at=NOW)
    (inbox,) = (await api.get("/api/mailboxes/?account=default"))["mailboxes"]
    assert inbox == {
        "id": mailbox_id,
        "account": "default",
        "mailbox": "INBOX",
        "message_count": 0,
        "stored_count": 0,
        "last_sync_at": None,
        "last_sync_status": "",
        "deleted_at": None,
    }
    listed = (await api.get("/api/mailboxes/"))["mailboxes"]
    assert [(one["account"], one["mailbox"], one["deleted_at"] is None) for one in listed] == [
        ("default", "INBOX", True),
        ("work", "Entwürfe ?", True),
        ("work", "Gone", False),
    ]
    assert await api.get("/api/mailboxes/?account=nobody") == {"mailboxes": []}
    accounts = (await api.get("/api/accounts/"))["accounts"]
    assert [(one["name"], one["mailboxes"], one["failing"]) for one in accounts] == [
        ("default", 1, None),
        ("work", 1, None),
    ]
    assert (accounts[1]["message_count"], accounts[1]["stored_count"]) == (5, 3)
    assert len((await api.get("/api/mailbox/states/"))["mailboxes"]) == 2

    def live(name: str, failing_since: datetime | None) -> MailboxLive:
        return MailboxLive(
            account="new",
            mailbox=name,
            connection="idling",
            since=NOW,
            in_flight=0,
            in_flight_bytes=0,
            error="",
            failing_since=failing_since,
        )

    async def answer(_: bytes) -> bytes:
        return MailboxStates(mailboxes=(live("a", None), live("b", NOW))).model_dump_json().encode()

    await bus.respond(control.STATES, answer)
    by_name = {one["name"]: one for one in (await api.get("/api/accounts/"))["accounts"]}
    assert (by_name["new"]["mailboxes"], by_name["new"]["failing"], by_name["default"]["failing"]) == (2, 1, None)


@pytest.mark.asyncio
async def test_a_slash_too_few_or_too_many_leads_to_the_right_path(api: Api) -> None:
    for path, right in (
        ("/api/messages?q=a%20b&limit=1", "/api/messages/?q=a%20b&limit=1"),
        ("/api/messages/1", "/api/messages/1/"),
        ("/api/openapi.json/", "/api/openapi.json"),
        ("/healthz/", "/healthz"),
        ("/api/docs", "/api/docs/"),
        ("/admin/messages", "/admin/messages/"),
        ("/api", "/api/"),
    ):
        for method in ("GET", "HEAD"):
            status, _ = await api.raw(method, path, redirects=False)
            assert (status, api.headers.get("Location")) == (308, right), path
    await api.raw("GET", "/api/", redirects=False)
    assert api.headers["Location"] == "/api/docs/", "the beginning leads to the description"


@pytest.mark.asyncio
async def test_what_would_change_something_is_not_redirected_but_told(api: Api) -> None:
    problem = await api.get("/api/mailbox/sync", method="POST", status=404)
    assert problem["detail"] == "There is nothing at /api/mailbox/sync; it is /api/mailbox/sync/."
    for path in ("/api/nothing", "/api/nothing/", "//example.org/api/messages", "/api/mailbox/sync"):
        await api.get(path, status=404)
        assert "Location" not in api.headers


@pytest.mark.asyncio
async def test_a_message_comes_with_its_way_and_its_attachments(
    api: Api, store: Store, mailbox_id: int, tmp_path: Path
) -> None:
    row = message_row(
        mailbox_id,
        1,
        body_text="text",
        body_html="<p>",
        attachments=(kept(tmp_path / "media", b"0123456789"),),
        pushed_at=NOW - timedelta(seconds=1),
        published_at=NOW,
        stream_seq=42,
        kind="copy",
        found_by="push",
        origin="default/Archive/7/3",
        to_emails=("a@example.org", "b@example.org"),
        to_names=("Anna", ""),
    )
    (row_id,) = await store.insert_messages([row])
    found = await api.get(f"/api/messages/{row_id}/")
    assert found["way"] == {
        "kind": "copy",
        "origin": "default/Archive/7/3",
        "found_by": "push",
        "pushed_at": "2024-05-06T07:08:08.123456Z",
        "published_at": "2024-05-06T07:08:09.123456Z",
        "stream_seq": 42,
        "stored_at": "2024-05-06T07:08:09.123456Z",
    }
    assert (found["text"], found["html"]) == ("text", "<p>")
    assert (found["to_names"], found["cc_names"]) == (["Anna", ""], None)
    assert found["headers"][1:] == [{"name": "X", "value": "1"}, {"name": "X", "value": "2"}]
    (part,) = found["attachments"]
    assert (part["filename"], part["content_type"], part["size"]) == ("größe.pdf", "text/html", 10)
    assert "file" not in part
    assert await api.raw("GET", part["url"]) == (200, b"0123456789")


async def original(store: Store, mailbox_id: int, body: bytes, uid: int = 1, **columns: Any) -> str:
    """Where the original of a message with this row is."""
    sha256 = hashlib.sha256(body).hexdigest()
    (row_id,) = await store.insert_messages([message_row(mailbox_id, uid, sha256=sha256, size=len(body), **columns)])
    return f"/api/messages/{row_id}/raw"


async def serve_parts(bus: Bus, body: bytes | Refusal) -> list[PartRequest]:
    """A syncer that has the message, or refuses; what it is asked for."""
    asked: list[PartRequest] = []

    async def answer(payload: bytes) -> bytes:
        asked.append(one := PartRequest.model_validate_json(payload))
        found = body if isinstance(body, Refusal) else MessagePart(data=body[one.offset : one.offset + one.count])
        return found.model_dump_json().encode()

    await bus.respond(control.PART, answer)
    return asked


@pytest.mark.asyncio
async def test_an_original_comes_from_the_stream_while_it_is_there(
    api: Api, bus: Bus, store: Store, mailbox_id: int, tmp_path: Path
) -> None:
    event = message(1, b"Subject: x\r\n\r\n\xff\0 bytes")
    large = b"Subject: y\r\n\r\n" + bytes(range(256)) * 10_000
    (tmp_path / "large").write_bytes(large)
    await bus.put_body("large", tmp_path / "large")
    ack = await bus.publish(event)
    other = await bus.publish(
        replace(message(2), body=b"", object_name="large", size=len(large), sha256=hashlib.sha256(large).hexdigest())
    )
    path = await original(store, mailbox_id, event.body, 1, stream_seq=ack.seq)
    await store.mark_expunged([(event.identity, NOW, 0)])
    assert await api.raw("GET", path) == (200, event.body), "also when the server has it no more"
    assert api.headers["Content-Type"] == "message/rfc822"
    assert api.headers["Content-Disposition"].startswith("attachment; filename=")
    assert api.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in api.headers["Content-Security-Policy"]
    assert api.headers["ETag"] == f'"{event.sha256}"'
    assert await api.raw("GET", path, Range="bytes=0-6") == (206, b"Subject")
    path = await original(store, mailbox_id, large, 2, stream_seq=other.seq)
    assert await api.raw("GET", path) == (200, large)


@pytest.mark.asyncio
async def test_an_original_that_the_stream_has_not_is_fetched_by_parts(
    api: Api, bus: Bus, store: Store, mailbox_id: int
) -> None:
    body = bytes(range(256)) * 5_000
    other = await bus.publish(message(3))
    asked = await serve_parts(bus, body)
    # The sequence may be that of another message, when the stream was made anew.
    for uid, seq in ((1, None), (2, other.seq), (3, 999)):
        asked.clear()
        path = await original(store, mailbox_id, body, uid, stream_seq=seq)
        assert await api.raw("GET", path) == (200, body)
        assert {(one.account, one.mailbox, one.uidvalidity, one.uid) for one in asked} == {("default", "INBOX", 7, uid)}
        assert [one.offset for one in asked] == [0, 512 << 10, 1024 << 10]


@pytest.mark.asyncio
async def test_an_original_that_nobody_has_is_gone_and_says_why(
    api: Api, bus: Bus, store: Store, mailbox_id: int
) -> None:
    body = b"Subject: x\r\n\r\n"
    silent = await api.get(await original(store, mailbox_id, body, 1), status=503)
    assert silent["detail"].startswith("It cannot be had now: ")
    path = await original(store, mailbox_id, body, 2)
    await store.mark_expunged([(message(2).identity, NOW, 0)])
    assert "found gone at 2024-05-06 07:08:09 UTC" in (await api.get(path, status=410))["detail"]
    await serve_parts(bus, b"Subject: other\r\n\r\n")
    differs = await api.get(await original(store, mailbox_id, body, 3), status=410)
    assert "SHA-256 differs" in differs["detail"]
    await api.get("/api/messages/4711/raw", status=404)


@pytest.mark.asyncio
@pytest.mark.parametrize(("code", "status"), [("message-gone", 410), ("unknown-mailbox", 410), ("failed", 503)])
async def test_a_syncer_that_refuses_an_original_is_quoted(
    api: Api, bus: Bus, store: Store, mailbox_id: int, code: Any, status: int
) -> None:
    await serve_parts(bus, Refusal(code=code, message="So it is."))
    problem = await api.get(await original(store, mailbox_id, b"x"), status=status)
    assert "So it is." in problem["detail"]


@pytest.mark.asyncio
async def test_an_attachment_is_saved_and_never_shown(api: Api, store: Store, mailbox_id: int, tmp_path: Path) -> None:
    part = kept(tmp_path / "media", b"<script>alert(1)</script>", 'evil".html\r\nX: y')
    (row_id,) = await store.insert_messages([message_row(mailbox_id, 1, attachments=(part,))])
    url = (await api.get(f"/api/messages/{row_id}/"))["attachments"][0]["url"]
    assert await api.raw("GET", url) == (200, b"<script>alert(1)</script>")
    assert api.headers["Content-Type"] == "application/octet-stream"
    assert api.headers["Content-Disposition"] == 'attachment; filename="evil_.html X_ y"'
    assert api.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in api.headers["Content-Security-Policy"]
    assert "X" not in api.headers
    assert await api.raw("HEAD", url) == (200, b"")
    assert api.headers["Content-Length"] == "25"


@pytest.mark.asyncio
async def test_an_attachment_comes_in_ranges(api: Api, store: Store, mailbox_id: int, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4000  # more than one piece
    part = kept(tmp_path / "media", content)
    (row_id,) = await store.insert_messages([message_row(mailbox_id, 1, attachments=(part,))])
    url = (await api.get(f"/api/messages/{row_id}/"))["attachments"][0]["url"]
    assert await api.raw("GET", url) == (200, content)
    etag = api.headers["ETag"]
    assert await api.raw("GET", url, Range="bytes=10-19") == (206, content[10:20])
    assert api.headers["Content-Range"] == f"bytes 10-19/{len(content)}"
    assert await api.raw("GET", url, Range="bytes=1000000-") == (206, content[1_000_000:])
    assert await api.raw("GET", url, Range="bytes=-5", If_Range=etag) == (206, content[-5:])
    assert await api.raw("GET", url, Range="bytes=-5", If_Range='"old"') == (200, content)
    assert await api.raw("GET", url, Range="bytes=1-2,4-5") == (200, content)
    status, _ = await api.raw("GET", url, Range=f"bytes={len(content)}-")
    assert (status, api.headers["Content-Range"]) == (416, f"bytes */{len(content)}")


@pytest.mark.asyncio
async def test_a_file_that_is_not_ours_is_not_sent(api: Api, store: Store, mailbox_id: int, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    part = kept(tmp_path / "media", b"x")
    (tmp_path / "media" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "media" / "day").symlink_to(tmp_path)
    files = ["../secret", str(tmp_path / "secret"), "link", "day/secret", "mail_attachments", "gone.pdf"]
    rows = [
        message_row(mailbox_id, uid, attachments=(AttachmentRow("2", "x", "x/x", 6, "b" * 64, "", False, file),))
        for uid, file in enumerate(files, 1)
    ]
    for row_id in await store.insert_messages(rows):
        url = (await api.get(f"/api/messages/{row_id}/"))["attachments"][0]["url"]
        await api.get(url, status=404)
    assert part.file not in files


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "path",
    [
        "/api/messages/4711/",
        "/api/messages/0/",
        "/api/messages/1_0/",
        "/api/messages/+1/",
        "/api/messages/%2B1/",
        "/api/messages/01/",
        "/api/messages/%D9%A1/",
        "/api/messages/9223372036854775808/",
        "/api/messages/x/",
        "/api/attachments/4711/",
        "/api/attachments/-1/",
        "/api/dead-letters/4711/raw",
        "/api/dead-letters/x/raw",
    ],
)
async def test_what_is_not_there_is_404(api: Api, path: str) -> None:
    await api.get(path, status=404)


@pytest.mark.asyncio
async def test_a_sync_run_is_asked_for_by_its_id(api: Api, bus: Bus) -> None:
    started = datetime(2026, 1, 1, tzinfo=UTC)
    run = SyncRun(
        run_id="r1",
        status="ok",
        started_at=started,
        results=(MailboxResult(account="default", mailbox="INBOX", status="ok"),),
    )
    await api.get("/api/sync-runs/r1/", status=503)

    async def answer(payload: bytes) -> bytes:
        asked = SyncResult.model_validate_json(payload)
        refusal = Refusal(code="unknown-run", message=f"no run {asked.run_id}")
        return (run if asked.run_id == "r1" else refusal).model_dump_json().encode()

    await bus.respond(control.RESULT, answer)
    found = await api.get("/api/sync-runs/r1/?wait=1")
    assert (found["run_id"], found["status"], found["results"][0]["mailbox"]) == ("r1", "ok", "INBOX")
    assert (await api.get("/api/sync-runs/r2/", status=404))["detail"] == "no run r2"
    await api.get("/api/sync-runs/r1/?wait=301", status=400)


@pytest.mark.asyncio
async def test_dead_letters_are_listed_read_and_redriven(api: Api, bus: Bus) -> None:
    assert await api.get("/api/dead-letters/") == {"dead_letters": [], "next": None, "total": 0}
    for uid in (1, 2, 3):
        await bus.publish_dead(message(uid).headers(), message(uid).body, f"error {uid}", 5)
    first = await api.get("/api/dead-letters/?limit=2")
    assert ([each["seq"] for each in first["dead_letters"]], first["next"], first["total"]) == ([1, 2], 2, 3)
    (last,) = (await api.get("/api/dead-letters/?after=2"))["dead_letters"]
    assert {name: last[name] for name in ("uid", "kind", "error", "deliveries", "size", "mailbox")} == {
        "uid": 3,
        "kind": "new",
        "error": "error 3",
        "deliveries": 5,
        "size": len(message(3).body),
        "mailbox": "INBOX",
    }
    assert await api.raw("GET", "/api/dead-letters/3/raw") == (200, message(3).body)
    assert api.headers["Content-Disposition"] == 'attachment; filename="dead-letter-3.eml"'
    redriven = await api.get("/api/dead-letters/3/redrive", method="POST", status=202)
    assert (redriven["uid"], redriven["stream_seq"]) == (3, 1)
    await api.get("/api/dead-letters/3/redrive", method="POST", status=404)
    assert (await api.get("/api/dead-letters/"))["total"] == 2
    await bus.publish_dead(message(4).headers() | {"ce-type": "no.type"}, b"x", "error", 1)
    assert (await api.get("/api/dead-letters/?after=3"))["dead_letters"][0]["kind"] == ""
    await api.get("/api/dead-letters/4/redrive", method="POST", status=409)


@pytest.mark.asyncio
async def test_a_dead_letter_that_is_discarded_is_gone_and_not_stored(api: Api, bus: Bus) -> None:
    for uid in (1, 2):
        await bus.publish_dead(message(uid).headers(), message(uid).body, "error", 5)
    gone = await api.get("/api/dead-letters/1/discard", method="POST")
    assert gone == {"seq": 1, "account": "default", "mailbox": "INBOX", "uidvalidity": 7, "uid": 1}
    await api.get("/api/dead-letters/1/discard", method="POST", status=404)
    await api.get("/api/dead-letters/1/redrive", method="POST", status=404)
    assert [each["seq"] for each in (await api.get("/api/dead-letters/"))["dead_letters"]] == [2]
    assert (await bus.position(MAIL)).messages == 0


@pytest.mark.asyncio
async def test_what_a_webhook_did_not_take_is_listed_read_and_redriven(api: Api, bus: Bus) -> None:
    where = "/api/dead-letters/webhook/"
    assert await api.get(where) == {"dead_letters": [], "next": None, "total": 0}
    await api.get(f"{where}1/", status=404)
    await bus.dedicated.stream(undelivered.CONFIG)
    for uid in (1, 2, 3):
        event = expunged(uid)
        headers = undelivered_headers(event.headers(), f"HTTP 50{uid}", 9)
        await bus.dedicated.publish(undelivered_subject(event.nats_subject), headers, event.payload())
    first = await api.get(f"{where}?limit=2")
    assert ([each["seq"] for each in first["dead_letters"]], first["next"], first["total"]) == ([1, 2], 2, 3)
    (last,) = (await api.get(f"{where}?after=2"))["dead_letters"]
    assert last.pop("given_up_at")
    assert last == {
        "seq": 3,
        "event_id": "default/INBOX/7/3/expunged",
        "type": "expunged",
        "account": "default",
        "mailbox": "INBOX",
        "error": "HTTP 503",
        "attempts": 9,
    }
    assert (await api.get(f"{where}3/"))["event"]["uid"] == 3

    silent = await api.get(f"{where}3/redrive", method="POST", status=503)
    assert "WEBHOOK_URL" in silent["detail"]
    answers = [Redelivered(status="refused", error="HTTP 500"), Redelivered(status="delivered")]

    async def answer(payload: bytes) -> bytes:
        assert Redeliver.model_validate_json(payload).seq == 3
        return answers.pop(0).model_dump_json().encode()

    await bus.respond(REDELIVER, answer)
    refused = await api.get(f"{where}3/redrive", method="POST", status=502)
    assert refused["detail"] == "The receiver did not take it: HTTP 500."
    taken = await api.get(f"{where}3/redrive", method="POST")
    assert taken == {"seq": 3, "event_id": "default/INBOX/7/3/expunged"}
    await api.get(f"{where}4/redrive", method="POST", status=404)
    given_up = await api.get(f"{where}2/discard", method="POST")
    assert given_up == {"seq": 2, "event_id": "default/INBOX/7/2/expunged"}
    await api.get(f"{where}2/discard", method="POST", status=404)


@pytest.mark.asyncio
async def test_without_nats_there_are_messages_and_no_dead_letters(
    api: Api, nats_server: NatsServer, store: Store, mailbox_id: int
) -> None:
    await store.insert_messages([message_row(mailbox_id, 1)])
    nats_server.kill()
    assert await api.uids("") == [1]
    problem = await api.get("/api/dead-letters/", status=503)
    assert problem["detail"].startswith("NATS does not answer")


@asynccontextmanager
async def locked(store_url: str) -> AsyncIterator[None]:
    """Somebody else holds the messages for himself."""
    if store_url.startswith("postgresql"):
        somebody = await asyncpg.connect(store_url.replace("+asyncpg", ""))
        try:
            await somebody.execute("BEGIN; LOCK TABLE mailbox_app_mailmessage IN ACCESS EXCLUSIVE MODE")
            yield
        finally:
            await somebody.close()
    else:
        other = sqlite3.connect(store_url.removeprefix("sqlite+aiosqlite:///"), isolation_level=None)
        with closing(other):
            other.execute("BEGIN EXCLUSIVE")
            yield


@pytest.mark.asyncio
async def test_a_lock_of_somebody_else_is_told_and_not_waited_for(api: Api, store: Store, store_url: str) -> None:
    assert api.dependencies.store.patience == 10
    store.patience = api.dependencies.store.patience = 0.3
    async with locked(store_url), asyncio.timeout(8):
        with pytest.raises(StoreError, match=r"did not answer within 0\.3 s"):
            await store.mark_present([1])
        if store_url.startswith("postgresql"):  # readers of SQLite wait for nobody's lock
            problem = await api.get("/api/messages/", status=503)
            assert "did not answer within 0.3 s" in problem["detail"]
            status, said = (await api.raw("GET", "/readyz"))[:2]
            assert (status, json.loads(said)["checks"]["database"]) == (503, "failed")
    assert await api.uids("") == []
