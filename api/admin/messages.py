"""`/admin/messages/`: search, list, and one message with its text, HTML, headers, attachments and its way."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from api.admin import pictures
from api.admin.portion import beginning, fields
from api.admin.templates import render
from api.dependencies import DEPENDENCIES
from api.guard import security_headers
from api.http.download import to_save
from api.http.page import page
from api.http.paging import cursor_of, encode_cursor
from api.http.problem import Problem
from mailcore.errors import StoreError
from mailcore.events.identity import Identity
from mailcore.imap.flag import in_words
from mailcore.store import MailboxState, MessageDetail, MessageFilter

routes = web.RouteTableDef()

LIST: Final = "/admin/messages/"
_FILTERS: Final = (
    "q",
    "account",
    "mailbox",
    "from",
    "since",
    "until",
    "attachments",
    "expunged",
    "seen",
    "flagged",
    "answered",
)
_ON_A_PAGE: Final = 50
_LONGEST: Final = 1000
_LARGEST_ID: Final = 2**63 - 1
# Bytes of a page, together well below 1 MB with what else is on it.
_LARGEST_TEXT: Final = 400_000
_LARGEST_HEADERS: Final = 200_000
_ATTACHMENTS: Final = 100


@routes.get(LIST)
@page
async def messages(request: web.Request) -> web.StreamResponse:
    """Newest first, a page at a time."""
    store = request.app[DEPENDENCIES].store
    given = {name: request.query.get(name, "").strip()[:_LONGEST].replace("\0", "") for name in _FILTERS}
    wanted, fault = _filter(given)
    at = request.query.get("cursor", "")
    try:
        found = await store.list_messages(wanted, cursor_of(at), _ON_A_PAGE)
        mailboxes = await store.mailbox_states()
    except StoreError as error:
        raise Problem(503, f"The database does not answer: {error}") from None
    kept = {name: value for name, value in given.items() if value}
    following = {**kept, "cursor": encode_cursor(found.next)} if found.next else None
    return render(
        request,
        "admin/messages.html",
        found=found.messages,
        given=given,
        fault=fault,
        filtered=bool(kept),
        further=bool(kept.keys() - {"q", "mailbox", "account"}),
        mailboxes=mailboxes,
        chosen=_chosen(mailboxes, given),
        first=LIST + ("?" + urlencode(kept) if kept else "") if at else "",
        following=f"{LIST}?{urlencode(following)}" if following else "",
    )


@routes.get(LIST + r"{id:\d{1,19}}/")
@page
async def message(request: web.Request) -> web.StreamResponse:
    """Of bounded size whatever the message is; the HTML is in a frame of its own (`html`)."""
    found = await _message(request)
    text = beginning(found.body_text, _LARGEST_TEXT)
    headers = fields(found.headers, _LARGEST_HEADERS)
    every = "all" in request.query
    return render(
        request,
        "admin/message.html",
        message=found,
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
        back=_back(request),
    )


@routes.get(LIST + r"{id:\d{1,19}}/html/")
@page
async def html(request: web.Request) -> web.StreamResponse:
    """The message's HTML, inert: what it may do is said by the policy."""
    found = await _message(request)
    addresses = pictures.addresses(request, found)
    made = await request.app[DEPENDENCIES].sanitizer.document(found.body_html, addresses)
    headers = security_headers.message(request.host, pictures.path(found.summary.id))
    return web.Response(text=made.html, content_type="text/html", charset="utf-8", headers=headers)


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


async def _message(request: web.Request) -> MessageDetail:
    row_id = int(request.match_info["id"])
    try:
        found = await request.app[DEPENDENCIES].store.message(row_id) if row_id <= _LARGEST_ID else None
    except StoreError as error:
        raise Problem(503, f"The database does not answer: {error}") from None
    if found is None:
        raise Problem(404, "There is no such message.")
    return found


def _filter(given: dict[str, str]) -> tuple[MessageFilter, str]:
    """The filter of the form's fields, and what is wrong with them in words."""
    faults = []
    days: dict[str, datetime | None] = {}
    for name in ("since", "until"):
        days[name] = None
        if given[name]:
            try:
                day = date.fromisoformat(given[name]) + timedelta(days=name == "until")
                days[name] = datetime(day.year, day.month, day.day, tzinfo=UTC)
            except (ValueError, OverflowError):
                faults.append(f"“{given[name][:40]}” is no date like 2026-11-22.")
    wanted = MessageFilter(
        account=given["account"] or None,
        mailbox=given["mailbox"] or None,
        sender=given["from"],
        since=days["since"],
        until=days["until"],
        has_attachments={"yes": True, "no": False}.get(given["attachments"]),
        query=given["q"],
        expunged={"yes": True, "no": False}.get(given["expunged"]),
        seen={"yes": True, "no": False}.get(given["seen"]),
        flagged={"yes": True, "no": False}.get(given["flagged"]),
        answered={"yes": True, "no": False}.get(given["answered"]),
    )
    return wanted, " ".join(faults)


def _chosen(mailboxes: list[MailboxState], given: dict[str, str]) -> MailboxState | None:
    wanted = given["account"], given["mailbox"]
    return next((one for one in mailboxes if (one.account, one.mailbox) == wanted), None)


def _back(request: web.Request) -> str:
    """The list that one came from, with its search."""
    try:
        referer = urlsplit(request.headers.get("Referer", ""))
    except ValueError:
        return LIST
    # The scheme may be the proxy's alone.
    came_from_list = referer.netloc == request.host and referer.path == LIST and referer.query
    return f"{LIST}?{referer.query}" if came_from_list else LIST


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
