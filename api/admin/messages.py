"""`/admin/messages/`: search, list, and one message with its text, HTML, headers, attachments and its way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from api.admin import pictures, zone
from api.admin.marking import marked_html
from api.admin.message_filter import Form, here
from api.admin.portion import beginning, fields
from api.admin.previews import may_be_shown
from api.admin.quantity import counted
from api.admin.templates import render
from api.dependencies import DEPENDENCIES
from api.guard import security_headers
from api.http.download import to_save
from api.http.page import page
from api.http.paging import COUNTED, COUNTED_OF_ALL, cursor_of, encode_cursor
from api.http.problem import Problem
from mailcore.errors import StoreError
from mailcore.events.identity import Identity
from mailcore.html.document import LONGEST, asks_elsewhere
from mailcore.imap.flag import in_words
from mailcore.store import Cursor, MailboxState, MessageDetail, MessageSummary, Portion
from mailcore.store.hits import Hits

routes = web.RouteTableDef()

LIST: Final = "/admin/messages/"
_ON_A_PAGE: Final = 50
_NEWS: Final = "100"
_LARGEST_ID: Final = 2**63 - 1
# Bytes of a page, together well below 1 MB with what else is on it.
_LARGEST_TEXT: Final = 400_000
_LARGEST_HEADERS: Final = 200_000
# What is read for them, so that what is cut is seen: a text is no shorter on a page, and so much JSON of headers is
# always more than their room there.
_READ: Final = Portion(text=_LARGEST_TEXT + 1, html=LONGEST, headers=1_000_000)
_READ_FOR_FRAME: Final = Portion(html=LONGEST + 1)
_ATTACHMENTS: Final = 100


@routes.get(LIST)
@page
async def messages(request: web.Request) -> web.StreamResponse:
    """Newest first, a page at a time: the one behind `cursor`, or before `newer`."""
    store = request.app[DEPENDENCIES].store
    form = Form.of(request.query, zone.of(request))
    wanted, most = form.wanted, COUNTED if form.on else COUNTED_OF_ALL
    at, newer = request.query.get("cursor", ""), request.query.get("newer", "")
    try:
        if newer:
            found = await store.list_messages(wanted, cursor_of(newer), _ON_A_PAGE, oldest_first=True, snippets=True)
            if found.next is None:
                # Nothing is newer than these: the first page has them, and is full.
                raise web.HTTPSeeOther(form.path(LIST))
            shown = found.messages[::-1]
        else:
            found = await store.list_messages(wanted, cursor_of(at), _ON_A_PAGE, snippets=True)
            shown = found.messages
            if at and not shown:  # what was there is gone
                raise web.HTTPSeeOther(form.path(LIST))
        newest = (await store.list_messages(wanted, limit=1)).messages if at or newer else shown
        is_all = not (at or newer or found.next)
        total = len(shown) if is_all else await store.total(wanted, most + 1)
        mailboxes = await store.mailbox_states()
    except StoreError as error:
        raise Problem(503, f"The database does not answer: {error}") from None
    has_newer, has_older = bool(at or newer), bool(newer or found.next)
    return render(
        request,
        "admin/messages.html",
        found=shown,
        total=f"more than {most:,} messages" if total > most else counted(total, "message"),
        given=form.given,
        hits=Hits.of(wanted),
        fault=form.fault,
        filtered=bool(form.on),
        out_of_sight=form.out_of_sight(LIST),
        mailboxes=mailboxes,
        chosen=_chosen(mailboxes, form.given),
        first=form.path(LIST),
        newer=form.path(LIST, newer=encode_cursor(_place(shown[0]))) if shown and has_newer else "",
        older=form.path(LIST, cursor=encode_cursor(_place(shown[-1]))) if shown and has_older else "",
        here=here(request.query),
        news=form.api("/api/messages/", order="asc", limit=_NEWS, **_behind(newest)),
    )


@routes.get(LIST + r"{id:\d{1,19}}/")
@page
async def message(request: web.Request) -> web.StreamResponse:
    """Of bounded size whatever the message is; the HTML is in a frame of its own (`html`). The query is that of the
    list from which one came: its filter tells what is before and behind."""
    found = await _message(request, _READ)
    form = Form.of(request.query, zone.of(request))
    store, place = request.app[DEPENDENCIES].store, _place(found.summary)
    try:
        newer = await store.list_messages(form.wanted, place, 1, oldest_first=True)
        older = await store.list_messages(form.wanted, place, 1)
        thread = await store.thread(found.summary.id)
    except StoreError as error:
        raise Problem(503, f"The database does not answer: {error}") from None
    at = here(request.query)
    text = beginning(found.body_text, _LARGEST_TEXT)
    headers = fields(found.headers, _LARGEST_HEADERS)
    every = "all" in request.query
    return render(
        request,
        "admin/message.html",
        message=found,
        hits=Hits.of(form.wanted),
        frame=form.path(f"{LIST}{found.summary.id}/html/"),
        summary=found.summary,
        subject=beginning(found.summary.subject, 2_000) or "(no subject)",
        text=text,
        text_cut=len(text) < len(found.body_text),
        headers=headers,
        headers_cut=headers != list(found.headers),
        attachments=found.attachments if every else found.attachments[:_ATTACHMENTS],
        way=_way(found),
        flags=in_words(found.summary.flags),
        origin=Identity.parse(found.origin) if found.origin else None,
        back=f"{LIST}{at}#message-{found.summary.id}",
        here=at,
        newer=_path(newer.messages[0], at) if newer.messages else "",
        older=_path(older.messages[0], at) if older.messages else "",
        asks_elsewhere=asks_elsewhere(found.body_html),
        shown={part.id for part in found.attachments if may_be_shown(part.content_type, part.filename)},
        thread=thread if thread.count > 1 else None,
        all_of_them=f"{at}{'&' if at else '?'}all",
    )


@routes.get(LIST + r"{id:\d{1,19}}/html/")
@page
async def html(request: web.Request) -> web.StreamResponse:
    """The message's HTML, inert: what it may do is said by the policy."""
    return await _html(request, elsewhere=False)


@routes.post(LIST + r"{id:\d{1,19}}/html/")
@page
async def html_with_pictures(request: web.Request) -> web.StreamResponse:
    """The same, with pictures from elsewhere. Asked for by a form of ours, as no link of a message may do it; and no
    address has it, so that it is for once."""
    return await _html(request, elsewhere=True)


async def _html(request: web.Request, *, elsewhere: bool) -> web.Response:
    found = await _message(request, _READ_FOR_FRAME)
    addresses = pictures.addresses(request, found)
    sanitizer = request.app[DEPENDENCIES].sanitizer
    made = await sanitizer.document(found.body_html, addresses, elsewhere=elsewhere)
    headers = security_headers.message(request.host, pictures.path(found.summary.id), elsewhere=elsewhere)
    hits = Hits.of(Form.of(request.query, zone.of(request)).wanted)
    shown = await asyncio.to_thread(marked_html, made.html, hits)
    return web.Response(text=shown, content_type="text/html", charset="utf-8", headers=headers)


@routes.get(LIST + r"{id:\d{1,19}}/text/")
@page
async def text(request: web.Request) -> web.StreamResponse:
    """All of it, to be saved."""
    found = await _message(request)
    return _saved(found.body_text, f"message-{found.summary.id}.txt")


@routes.get(LIST + r"{id:\d{1,19}}/headers/")
@page
async def headers(request: web.Request) -> web.StreamResponse:
    """All of them, to be saved."""
    found = await _message(request)
    lines = (f"{name}: {value}\n" for name, value in found.headers)
    return _saved("".join(lines), f"message-{found.summary.id}-headers.txt")


def _saved(text: str, name: str) -> web.Response:
    return web.Response(body=text.encode(errors="replace"), headers=to_save(name, name))


async def _message(request: web.Request, portion: Portion | None = None) -> MessageDetail:
    row_id = int(request.match_info["id"])
    store = request.app[DEPENDENCIES].store
    try:
        found = await store.message(row_id, portion) if row_id <= _LARGEST_ID else None
    except StoreError as error:
        raise Problem(503, f"The database does not answer: {error}") from None
    if found is None:
        raise Problem(404, "There is no such message.")
    return found


def _chosen(mailboxes: list[MailboxState], given: dict[str, str]) -> MailboxState | None:
    wanted = given["account"], given["mailbox"]
    return next((one for one in mailboxes if (one.account, one.mailbox) == wanted), None)


def _place(one: MessageSummary) -> Cursor:
    return Cursor(one.received_at, one.id)


def _behind(newest: Sequence[MessageSummary]) -> dict[str, str]:
    return {"cursor": encode_cursor(_place(newest[0]))} if newest else {}


def _path(one: MessageSummary, query: str) -> str:
    return f"{LIST}{one.id}/{query}"


def _way(found: MessageDetail) -> list[dict[str, Any]]:
    """The stations of a message with the seconds from the one before; those that nobody told are left out."""
    stations: list[dict[str, Any]] = []
    before: datetime | None = None
    told = (
        ("received", found.summary.received_at, "the IMAP server had it"),
        ("pushed", found.pushed_at, "it told us" if found.found_by == "push" else f"a {found.found_by} found it"),
        (
            "published",
            found.published_at,
            f"JetStream, sequence {found.stream_seq}" if found.stream_seq else "JetStream",
        ),
        ("stored", found.summary.stored_at, "row committed, files on disk"),
    )
    for name, moment, words in told:
        if moment is None:
            continue
        # INTERNALDATE has whole seconds, and mail that was there before may be years old: no delay of ours.
        after = None if before is None or name == "pushed" else max(0.0, (moment - before).total_seconds())
        stations.append({"name": name, "at": moment, "words": words, "after": after})
        before = moment if name != "received" else None
    return stations
