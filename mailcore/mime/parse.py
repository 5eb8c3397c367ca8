"""Bytes ⇒ ParsedMessage: what a message says, with its defects named."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection
from datetime import datetime
from html import unescape
from typing import Final
from urllib.parse import unquote

from mailcore.mime.address import parse_addresses
from mailcore.mime.charset import decode, html_charset
from mailcore.mime.date import parse_date
from mailcore.mime.defects import Defects
from mailcore.mime.encodedword import decode_words
from mailcore.mime.flowed import joined
from mailcore.mime.header import Header
from mailcore.mime.model import ParsedAttachment, ParsedMessage
from mailcore.mime.parameter import first_token, parse_parameters
from mailcore.mime.structure import Leaf, Walker
from mailcore.mime.tnef import is_tnef, tnef_files
from mailcore.mime.transfer import decode_base64, decode_part, is_plain, uu_blocks

MAX_BODY_BYTES: Final = 4 << 20
"""Of the text parts together; a part that goes beyond is kept as an attachment, and its beginning in the body."""

_MESSAGE_ID: Final = re.compile(r"<[^<>]{1,998}>")
_MAX_DATES: Final = 10
_CID: Final = re.compile(r"""["']\s?cid:([^"'<>]{1,500})["']|cid:([^"'<>\s)]{1,500})""", re.IGNORECASE)


def parse(raw: bytes) -> ParsedMessage:
    """What an RFC 5322 message says. Never raises; linear in the size of `raw`, at any depth of nesting.

    `body_text` and `body_html` are the text parts of each kind that are not attachments, in their order, with an empty
    line (in HTML a line break) between them. A text part is an attachment when its disposition says so or it has a file
    name; when there is no other text, the first that is not meant to be saved serves as the body, too, of whatever kind
    it is. An attached message is one attachment with its exact bytes. Files inside winmail.dat and uuencoded files in
    the text become attachments of their own (part ids `2.tnef.1`, `1.uu.1`); winmail.dat is kept as well.
    """
    defects = Defects()
    if not isinstance(raw, bytes):
        raw = bytes(raw)
    if b"\r" in raw and b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")  # line ends of old Macs
        defects.add("bare-cr")
    raw = _narrow(raw, defects)
    walker = Walker(raw, defects)
    collected = _Collector(raw, walker.charsets, defects)
    for leaf in walker.leaves:
        collected.take(leaf)
    collected.take_other_text()
    body_html = "\n<br>\n".join(collected.html)
    return _message(walker.header, "\n\n".join(collected.text), body_html, collected.marked_inline(), defects)


def _narrow(raw: bytes, defects: Defects) -> bytes:
    """A message that was saved as UTF-16, as it was sent: its byte order mark tells."""
    if not raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw
    try:
        narrow = raw.decode("utf-16").encode()
    except UnicodeError:
        return raw
    defects.add("byte-order-mark")
    return narrow


class _Collector:
    """Leaves ⇒ bodies and attachments."""

    def __init__(self, raw: bytes, hints: Collection[str], defects: Defects) -> None:
        self.raw = raw
        self.defects = defects
        self.hints = hints
        self.text: list[str] = []
        self.html: list[str] = []
        self.attachments: list[ParsedAttachment] = []
        self._room = MAX_BODY_BYTES
        self._other_text: tuple[Leaf, bytes] | None = None

    def take(self, leaf: Leaf) -> None:
        disposition, filename = "", ""
        value = leaf.header.get("content-disposition")
        if value:
            disposition, parameters = parse_parameters(value, self.defects)
            filename = parameters.get("filename", "")
        named = filename or leaf.parameters.get("name", "")
        encoding = leaf.header.get("content-transfer-encoding").strip().lower()
        is_text = leaf.content_type in ("text/plain", "text/html")
        if is_text and encoding == "base64" and disposition != "attachment":
            content = self._text_of_base64(leaf)
        else:
            content = decode_part(self.raw, leaf.start, leaf.end, encoding, self.defects)
        if is_text and disposition != "attachment":
            # Some mailers name the body itself; in an alternative that makes no attachment of it.
            if not named or (leaf.parent == "alternative" and not disposition):
                if len(content) > self._room:
                    self._attach(leaf.part_id, leaf, named, content, True)
                self._take_text(leaf, content)
                return
            self._other_text = self._other_text or (leaf, content)
        elif leaf.content_type.startswith("text/") and not named and disposition != "attachment":
            self._other_text = self._other_text or (leaf, content)  # RFC 2046 §4.1.4: as plain text
        self._attach(leaf.part_id, leaf, named, content, disposition == "inline")
        if is_tnef(leaf.content_type, named, content):
            self._take_tnef(leaf, content)

    def _text_of_base64(self, leaf: Leaf) -> bytes:
        own = Defects()  # what is wrong with another part says nothing of this one
        content = decode_base64(self.raw, leaf.start, leaf.end, own)
        if not own:
            return content
        self.defects.update(own)
        return self.raw[leaf.start : leaf.end] if is_plain(self.raw, leaf.start, leaf.end, content) else content

    def _attach(self, part_id: str, leaf: Leaf, filename: str, content: bytes, inline: bool) -> None:
        content_id = leaf.header.text("content-id", self.defects).strip().removeprefix("<").removesuffix(">")
        self.attachments.append(
            ParsedAttachment(
                part_id=part_id,
                filename=filename,
                content_type=leaf.content_type,
                content_id=content_id,
                inline=inline,
                content=content,
            )
        )

    def take_other_text(self) -> None:
        """A message whose only text has a file name, or is of another kind, still has something to show."""
        if self._other_text is not None and not self.text and not self.html:
            self._take_text(*self._other_text)

    def _take_text(self, leaf: Leaf, content: bytes) -> None:
        if len(content) > self._room:
            self.defects.add("body-too-large")
            content = content[: content.rfind(b"\n", 0, self._room) + 1 or self._room]
        self._room -= len(content)
        charset = first_token(leaf.parameters.get("charset", ""))
        is_html = leaf.content_type == "text/html"
        named = ""
        if is_html:
            named = "" if content.isascii() else html_charset(content)
        elif b"begin" in content:
            content = self._take_uu(leaf, content)
        text = decode(content, charset, self.defects, self.hints, named=named).removeprefix("\ufeff")
        if leaf.content_type == "text/plain" and first_token(leaf.parameters.get("format", "")).lower() == "flowed":
            text = joined(text, delsp=first_token(leaf.parameters.get("delsp", "")).lower() == "yes")
        if text and not text.isspace():
            (self.html if is_html else self.text).append(text)

    def _take_uu(self, leaf: Leaf, content: bytes) -> bytes:
        blocks = uu_blocks(content)
        if not blocks:
            return content
        kept: list[bytes] = []
        position = 0
        for number, (start, end, name, data) in enumerate(blocks, 1):
            kept.append(content[position:start])
            position = end
            self.attachments.append(
                ParsedAttachment(
                    part_id=f"{leaf.part_id}.uu.{number}",
                    filename=name,
                    content_type="application/octet-stream",
                    content_id="",
                    inline=False,
                    content=data,
                )
            )
        kept.append(content[position:])
        self.defects.add("uuencode")
        return b"".join(kept)

    def _take_tnef(self, leaf: Leaf, content: bytes) -> None:
        self.defects.add("tnef")
        for number, file in enumerate(tnef_files(content, self.defects), 1):
            self.attachments.append(
                ParsedAttachment(
                    part_id=f"{leaf.part_id}.tnef.{number}",
                    filename=file.name,
                    content_type=file.content_type or "application/octet-stream",
                    content_id=file.content_id,
                    inline=False,
                    content=file.content,
                )
            )

    def marked_inline(self) -> tuple[ParsedAttachment, ...]:
        """With `inline` set also on what the HTML refers to by `cid:` (RFC 2392)."""
        if not any(attachment.content_id for attachment in self.attachments):
            return tuple(self.attachments)
        found = {unescape(quoted or bare).strip() for html in self.html for quoted, bare in _CID.findall(html)}
        wanted = found | {unquote(cid) for cid in found}
        return tuple(
            ParsedAttachment(a.part_id, a.filename, a.content_type, a.content_id, True, a.content)
            if a.content_id in wanted and not a.inline
            else a
            for a in self.attachments
        )


def _message(
    header: Header, body_text: str, body_html: str, attachments: tuple[ParsedAttachment, ...], defects: Defects
) -> ParsedMessage:
    headers = tuple([(name, decode_words(value, defects) if "=?" in value else value) for name, value in header.fields])
    from_name, from_email = _sender(header, defects)
    in_reply_to = _ids(header, "in-reply-to")
    subject = " ".join(header.text("subject", defects).split())
    to_names, to_emails = _people(header, "to", defects)
    cc_names, cc_emails = _people(header, "cc", defects)
    return ParsedMessage(
        message_id=_message_id(header.get("message-id")),
        subject=subject,
        from_name=from_name,
        from_email=from_email,
        to_emails=to_emails,
        cc_emails=cc_emails,
        to_names=to_names,
        cc_names=cc_names,
        reply_to=_people(header, "reply-to", defects)[1],
        in_reply_to=in_reply_to[0] if in_reply_to else "",
        references=tuple(_ids(header, "references")),
        sent_at=_date(header, defects),
        headers=headers,
        body_text=body_text,
        body_html=body_html,
        attachments=attachments,
        defects=tuple(defects),
    )


def _addresses(header: Header, name: str, defects: Defects) -> list[tuple[str, str]]:
    """Of all fields of this name, which RFC 5322 §4.5 asks to take for one."""
    value = header.get(name)
    if not value:
        return []
    found = parse_addresses(value, defects)
    for value in header.more(name):
        found += parse_addresses(value, defects)
    return found


def _people(header: Header, name: str, defects: Defects) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Their names and their addresses."""
    found = [one for one in _addresses(header, name, defects) if one[1]]
    return tuple([name for name, _ in found]), tuple([email for _, email in found])


def _sender(header: Header, defects: Defects) -> tuple[str, str]:
    """(name, address): the first that is an address, else the first word there is."""
    written = _addresses(header, "from", defects)
    if written and "@" in written[0][1]:
        return written[0]
    written += _addresses(header, "sender", defects)
    return min(written, key=lambda one: ("@" not in one[1], not one[1]), default=("", ""))


def _message_id(value: str) -> str:
    """Whole, with the blanks of a broken one: half an identifier is another's."""
    if not value:
        return ""
    found = _MESSAGE_ID.search(value)
    return " ".join((found[0] if found else value).split())


def _ids(header: Header, name: str) -> list[str]:
    value = header.get(name)
    if not value:
        return []
    if more := header.more(name):
        value = " ".join([value, *more])
    return [" ".join(found.split()) for found in _MESSAGE_ID.findall(value)] or value.split()


def _date(header: Header, defects: Defects) -> datetime | None:
    value = header.get("date")
    if not value:
        return None
    found = parse_date(value, defects)
    if found is None:
        for value in header.more("date")[:_MAX_DATES]:
            found = found or parse_date(value, defects)
    return found
