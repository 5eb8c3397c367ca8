"""Mails that a server makes up in place of one that it cannot give. Pure.

They come as any other answer to a FETCH does, under the UID that was asked for: stored, they would be that message for
ever. Courier sends one for what was expunged meanwhile, Exchange one for what it cannot convert.
"""

from __future__ import annotations

import re
from typing import Final

SMALL: Final = 2 << 10  # what a server makes up is a header and a sentence
_REPORT: Final = 16 << 10  # Exchange quotes subject and sender, and may say it in HTML as well

_SPEAKS_OF_IT: Final = re.compile(
    rb"unavailable|not available|no longer (?:available|exists?)|does not exist|not found|"
    rb"(?:(?:could|can)(?:n|'| |\xe2\x80\x99){1,3}o?t|unable to|failed to) (?:be )?"
    rb"(?:retriev|open|find|found|read|fetch|convert)|"
    rb"(?:been|was) (?:deleted|removed|expunged|purged)",
    re.IGNORECASE,
)
_HEADER_END: Final = re.compile(rb"\r?\n\r?\n")
_FOLD: Final = re.compile(rb"\r?\n(?=[ \t])")
_FROM_EXCHANGE: Final = re.compile(rb"^From:[^\r\n]*Microsoft Exchange", re.IGNORECASE | re.MULTILINE)
_RETRIEVAL_FAILED: Final = re.compile(rb"^Subject:\s*(Retrieval using the IMAP4? protocol failed[^\r\n]*)", re.I | re.M)
_RETRIEVAL: Final = b"retrieval"
_CAME_BY_MAIL: Final = re.compile(rb"^(?:Received|Message-ID):", re.IGNORECASE | re.MULTILINE)


def may_be_placeholder(body: bytes, announced: int | None) -> bool:
    """Whether to ask the server once more if it still has this message before `body` is believed. Says yes too often
    rather than too seldom: one round trip tells. `announced` is its RFC822.SIZE, None if it sent none.

    Courier (`imap/fetch.c`): "message unavailable … This message is no longer available on the server."
    """
    if len(body) > SMALL:
        return False
    return (announced is not None and announced != len(body)) or _SPEAKS_OF_IT.search(body) is not None


def retrieval_failed(body: bytes) -> str | None:
    """Exchange's report in place of a message that it has and cannot convert, in its words; None for any other mail.
    What came by mail, as a forwarded report does, is a mail."""
    if len(body) > _REPORT or _RETRIEVAL not in body.lower():  # a look at what every mail pays for
        return None
    header = _FOLD.sub(b"", _HEADER_END.split(body, maxsplit=1)[0])
    subject = _RETRIEVAL_FAILED.search(header)
    if subject is None or not _FROM_EXCHANGE.search(header) or _CAME_BY_MAIL.search(header):
        return None
    said = subject[1].decode("utf-8", "replace").strip()
    return "".join(char if char.isprintable() else "?" for char in said[:200])
