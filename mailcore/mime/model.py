"""What any bytes become: a message with its defects named."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ParsedAttachment:
    """One part that is kept as a file.

    `part_id` is the IMAP part number ("2", "1.3"); `filename` is the sender's, decoded, never made safe here;
    `content` holds the decoded bytes; `inline` says that the body refers to it or that its disposition is inline.
    """

    part_id: str
    filename: str
    content_type: str
    content_id: str
    inline: bool
    content: bytes


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """The columns of a message row. No string holds NUL or a lone surrogate; times are aware, in UTC. `to_names` and
    `cc_names` are the display names of `to_emails` and `cc_emails`, one for each, "" where there is none.

    `headers` keeps order and repetition. `defects` are short stable names ("bad-base64", "missing-boundary", …), each
    once.
    """

    message_id: str = ""
    subject: str = ""
    from_name: str = ""
    from_email: str = ""
    to_emails: tuple[str, ...] = ()
    cc_emails: tuple[str, ...] = ()
    to_names: tuple[str, ...] = ()
    cc_names: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    sent_at: datetime | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body_text: str = ""
    body_html: str = ""
    attachments: tuple[ParsedAttachment, ...] = field(default=())
    defects: tuple[str, ...] = ()
