"""`GET /api/messages/`, `GET /api/messages/{id}/`: what is stored, in pages, and one message with all of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Literal

from aiohttp import web
from pydantic import AwareDatetime, Field

from api.dependencies import DEPENDENCIES
from api.http.existing import existing
from api.http.paging import COUNTED, COUNTED_OF_ALL, cursor_of, encode_cursor
from api.http.problem import Problem
from api.http.zone import zone as named
from api.schema.operation import operation
from api.schema.values import Answer, Day, Flag, PageSize, Query, RowId, Text, Timestamp
from mailcore.errors import StoreError
from mailcore.store import AttachmentDetail, MessageDetail, MessageFilter, MessageSummary
from mailcore.store.query import midnight

routes = web.RouteTableDef()


class MessagesQuery(Query):
    account: Text | None = Field(None, description="Only messages of this account.")
    mailbox: Text | None = Field(None, description="Only messages of this mailbox.")
    sender: Text = Field("", alias="from", description="Words of the sender's name or address.")
    since: Timestamp | Day | None = Field(
        None, union_mode="left_to_right", description="Received then or later; a date begins at midnight in `zone`."
    )
    until: Timestamp | Day | None = Field(
        None, union_mode="left_to_right", description="Received before; a date begins at midnight in `zone`."
    )
    has_attachments: Flag | None = Field(None, description="Only messages with attachments, or without.")
    q: Text = Field(
        "",
        description='Words in subject, sender, recipients and text; all must be found. `"side by side"`, `begin*`, '
        "`-without`; case and accents do not matter. Among them `from:`, `to:`, `subject:`, `has:attachment`, "
        "`is:unread`, `is:flagged`, `is:answered`, `before:`, `after:` (2026-01-31, 2026-01 or 2026, in `zone`), `in:` "
        "(a mailbox), `account:`, each also after a `-`. Nothing is an error: what is none of these is words.",
    )
    expunged: Flag | None = Field(None, description="Only messages that the server no longer has, or still has.")
    seen: Flag | None = Field(None, description="Only messages that are read (`\\Seen`), or unread.")
    flagged: Flag | None = Field(None, description="Only messages that are flagged (`\\Flagged`), or not.")
    answered: Flag | None = Field(None, description="Only messages that are answered (`\\Answered`), or not.")
    to: Text = Field("", description="Words of the recipients' names or addresses (To and Cc).")
    subject: Text = Field("", description="Words of the subject.")
    message_id: Text = Field("", description="Only messages with this Message-ID, with or without its angle brackets.")
    stored_since: Timestamp | Day | None = Field(
        None, union_mode="left_to_right", description="Stored then or later; a date begins at midnight in `zone`."
    )
    order: Literal["asc", "desc"] = Field("desc", description="By the time of receipt: oldest or newest first.")
    zone: Text = Field("UTC", description="The time zone of days, by its name in the time zone database.")
    total: Flag = Field(False, description="Count what matches, too.")
    snippet: Flag = Field(False, description="With a line of each text.")
    limit: PageSize = Field(50, description="The most messages of a page.")
    cursor: Text = Field("", description="`next` of the page before; the filters stay the same.")


class MessagePath(Query):
    id: RowId


class Summary(Answer):
    """`received_at` is INTERNALDATE, `sent_at` the sender's Date; `expunged_at` is when it was found gone,
    `flags_at` when its flags became others than those that it was stored with."""

    id: int
    account: str
    mailbox: str
    uidvalidity: int
    uid: int
    message_id: str
    subject: str
    from_name: str
    from_email: str
    to_emails: list[str]
    received_at: AwareDatetime
    sent_at: AwareDatetime | None
    stored_at: AwareDatetime
    expunged_at: AwareDatetime | None
    size: int
    flags: list[str]
    flags_at: AwareDatetime | None
    has_attachments: bool


class Listed(Summary):
    """`attachment_names` are the senders' names of the first 20 that do not stand in the text, each cut at 200
    characters. `snippet` is a line of the text, its beginning or where it has what was searched for, null unless
    asked for."""

    attachment_names: list[str]
    snippet: str | None


class Messages(Answer):
    """`next` is the cursor of the next page, null on the last. `total` counts what matches, null unless asked for: up
    to 10,000, and where nothing is filtered up to 200,000; `total_exact` is false where there are more."""

    messages: list[Listed]
    next: str | None
    total: int | None
    total_exact: bool | None


class HeaderField(Answer):
    name: str
    value: str


class Attachment(Answer):
    """`url` is where its bytes are; `filename` is the sender's."""

    id: int
    part_id: str
    filename: str
    content_type: str
    size: int
    sha256: str
    content_id: str
    inline: bool
    url: str


class Way(Answer):
    """How it came: the server's hint (or the sweep that found it), the event with its sequence in its stream, the
    commit. Null where nobody told. `origin` is the identity (as in the events) that had the bytes of a copy first."""

    kind: str | None
    origin: str | None
    found_by: str | None
    pushed_at: AwareDatetime | None
    published_at: AwareDatetime | None
    stream_seq: int | None
    stored_at: AwareDatetime


class Message(Summary):
    """`to_names` and `cc_names` are the display names of `to_emails` and `cc_emails`, one for each, null where it was
    stored before these were. `email_id` and `thread_id` are what the server calls the message and its thread in all
    mailboxes, `labels` those of Gmail when it was fetched; null where it does not tell."""

    cc_emails: list[str]
    to_names: list[str] | None
    cc_names: list[str] | None
    email_id: str | None
    thread_id: str | None
    labels: list[str] | None
    reply_to: list[str]
    in_reply_to: str
    references: list[str]
    headers: list[HeaderField]
    text: str
    html: str
    sha256: str
    defects: list[str]
    way: Way
    attachments: list[Attachment]


@routes.get("/api/messages/")
@operation(
    "messages",
    "List and search messages",
    description="By the time of receipt, the newest first unless told otherwise. A page costs the same wherever it is.",
    scopes=("read",),
    answers={200: Messages},
    problems={503: "The database does not answer."},
)
async def messages(request: web.Request, query: MessagesQuery) -> Messages:
    zone = named(query.zone)
    if zone is None:
        raise Problem(400, "Parameter 'zone': no time zone has this name; write one like Europe/Berlin.")
    wanted = MessageFilter(
        account=query.account,
        mailbox=query.mailbox,
        sender=query.sender,
        since=_timestamp("since", query.since, zone),
        until=_timestamp("until", query.until, zone),
        has_attachments=query.has_attachments,
        query=query.q,
        expunged=query.expunged,
        seen=query.seen,
        flagged=query.flagged,
        answered=query.answered,
        message_id=query.message_id,
        recipients=query.to,
        subject=query.subject,
        stored_since=_timestamp("stored_since", query.stored_since, zone),
        zone=zone,
    )
    store, cursor = request.app[DEPENDENCIES].store, cursor_of(query.cursor)
    try:
        page = await store.list_messages(
            wanted, cursor, query.limit, oldest_first=query.order == "asc", snippets=query.snippet
        )
        most = COUNTED_OF_ALL if wanted == MessageFilter(zone=zone) else COUNTED
        total = await store.total(wanted, most + 1) if query.total else None
    except StoreError as error:
        raise Problem(503, f"The database does not answer: {error}") from None
    return Messages(
        messages=[Listed(**_facts(each) | {"attachment_names": list(each.attachment_names)}) for each in page.messages],
        next=encode_cursor(page.next) if page.next else None,
        total=None if total is None else min(total, most),
        total_exact=None if total is None else total <= most,
    )


@routes.get("/api/messages/{id}/")
@operation(
    "messages",
    "One message",
    description="With headers, text, HTML (as the sender wrote it: show it in a sandbox), attachments, and its way.",
    scopes=("read",),
    answers={200: Message},
    problems={404: "There is no such message.", 503: "The database does not answer."},
)
async def message(request: web.Request, path: MessagePath) -> Message:
    look = request.app[DEPENDENCIES].store.message(path.id)
    return _message(await existing(look, f"There is no message {path.id}."))


def _message(found: MessageDetail) -> Message:
    return Message(
        **_facts(found.summary),
        cc_emails=list(found.cc_emails),
        to_names=None if found.to_names is None else list(found.to_names),
        cc_names=None if found.cc_names is None else list(found.cc_names),
        email_id=found.email_id,
        thread_id=found.thread_id,
        labels=None if found.labels is None else list(found.labels),
        reply_to=list(found.reply_to),
        in_reply_to=found.in_reply_to,
        references=list(found.references),
        headers=[HeaderField(name=name, value=value) for name, value in found.headers],
        text=found.body_text,
        html=found.body_html,
        sha256=found.sha256,
        defects=list(found.defects),
        way=Way(
            kind=found.kind,
            origin=found.origin,
            found_by=found.found_by,
            pushed_at=found.pushed_at,
            published_at=found.published_at,
            stream_seq=found.stream_seq,
            stored_at=found.summary.stored_at,
        ),
        attachments=[_attachment(each) for each in found.attachments],
    )


def _facts(summary: MessageSummary) -> dict[str, Any]:
    # A mailbox whose name is no modified UTF-7 has lone surrogates in it, which JSON cannot carry.
    names = {name: getattr(summary, name).encode("utf-8", "replace").decode() for name in ("account", "mailbox")}
    lists = {"to_emails": list(summary.to_emails), "flags": list(summary.flags)}
    return {**asdict(summary), **names, **lists}


def _attachment(part: AttachmentDetail) -> Attachment:
    facts = {name: value for name, value in asdict(part).items() if name in Attachment.model_fields}
    return Attachment(**facts, url=f"/api/attachments/{part.id}/")


def _timestamp(name: str, value: datetime | date | None, zone: tzinfo) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        return midnight(value, zone)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise Problem(400, f"Parameter '{name}': this time does not exist in UTC.") from None
