"""Mail as people get it: sizes, structures and attachments of a real mailbox, the same for the same number and seed.

Building is a matter of slicing one pool of random bytes, so a mailbox of a gigabyte is made at disk speed.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache

_LINE = 57  # bytes that make one base64 line of 76 characters
_POOL_LINES = 80_000  # 4.5 MB
_WORDS = tuple(
    """the of and to invoice meeting attached please find regards project order delivery budget review thank schedule
    tomorrow customer contract report team update question answer number payment account draft version plan next week
    Überweisung Größe façade naïve Škoda Đorđe Жарко 会議 resumé""".split()
)
_FILES = (
    ("Rechnung {n}.pdf", "application/pdf"),
    ("photo-{n}.jpg", "image/jpeg"),
    ("Übersicht {n}.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("notes {n}.txt", "application/octet-stream"),
    ("Отчёт {n}.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
)


@dataclass(frozen=True, slots=True)
class SentFile:
    """An attachment as its sender had it."""

    filename: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Mail:
    """RFC 5322 bytes with CRLF line ends, and what should come out of them."""

    raw: bytes
    message_id: str
    subject: str
    files: tuple[SentFile, ...]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()


@cache
def _pool() -> tuple[bytes, bytes]:
    """Random bytes, and the same in base64 lines with CRLF: line i of the one is line i of the other."""
    plain = random.Random(57).randbytes(_LINE * _POOL_LINES)
    coded = base64.b64encode(plain)
    return plain, b"".join(coded[at : at + 76] + b"\r\n" for at in range(0, len(coded), 76))


def _content(dice: random.Random, size: int) -> tuple[bytes, bytes]:
    """About `size` bytes nobody else has, and their base64."""
    plain, coded = _pool()
    own = dice.randbytes(_LINE)
    plains, codeds = [own], [base64.b64encode(own) + b"\r\n"]
    left = max(0, size // _LINE - 1)
    while left > 0:
        start = dice.randrange(_POOL_LINES)
        lines = min(left, _POOL_LINES - start)
        plains.append(plain[start * _LINE : (start + lines) * _LINE])
        codeds.append(coded[start * 78 : (start + lines) * 78])
        left -= lines
    return b"".join(plains), b"".join(codeds)


@cache
def _paragraphs() -> tuple[str, ...]:
    dice = random.Random(58)
    return tuple(" ".join(dice.choices(_WORDS, k=60)) for _ in range(200))


def _text(dice: random.Random, size: int, end: str = "\r\n") -> bytes:
    """About `size` bytes of words in UTF-8."""
    out: list[str] = []
    length = 0
    while length < size:
        line = dice.choice(_paragraphs())
        out.append(line)
        length += len(line) + len(end)
    return end.join(out).encode()


def _headers(dice: random.Random, number: int, seed: int, when: datetime) -> tuple[str, str, str]:
    subject = f"{' '.join(dice.choices(_WORDS, k=4))} {number}"
    message_id = f"<{seed}.{number}.{dice.getrandbits(48):x}@mail.example.com>"
    encoded = "=?utf-8?b?" + base64.b64encode(subject.encode()).decode() + "?="
    hops = "".join(
        f"Received: from mx{hop}.example.net (mx{hop}.example.net [192.0.2.{hop}])\r\n"
        f"\tby relay{hop}.example.org (Postfix) with ESMTPS id {dice.getrandbits(40):X}\r\n"
        f"\tfor <anna@example.org>; {format_datetime(when)}\r\n"
        for hop in range(1, 5)
    )
    signature = base64.b64encode(dice.randbytes(256)).decode()
    folded = "\r\n\t".join(signature[at : at + 70] for at in range(0, len(signature), 70))
    lines = (
        f"{hops}DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=mail;\r\n\tb={folded}\r\n"
        f"Message-ID: {message_id}\r\nDate: {format_datetime(when)}\r\n"
        f"From: =?utf-8?q?J=C3=BCrgen_M?= <juergen{number % 97}@example.com>\r\n"
        f'To: Anna <anna@example.org>, "Bob, Sales" <bob@example.org>\r\nCc: team{number % 7}@example.org\r\n'
        f"Subject: {encoded}\r\nIn-Reply-To: <{number - 1}.parent@example.com>\r\n"
        f"References: <{number - 2}.root@example.com>\r\n <{number - 1}.parent@example.com>\r\n"
        "MIME-Version: 1.0\r\n"
    )
    return lines, message_id, subject


def make_mail(number: int, *, seed: int = 1, text: int = 4_000, files: tuple[int, ...] = ()) -> Mail:
    """One message: about `text` bytes of text with its HTML twin, and an attachment of about each size of `files`."""
    dice = random.Random(f"{seed}/{number}")
    when = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=17 * number)
    lines, message_id, subject = _headers(dice, number, seed, when)
    edge = f"=_{seed}_{number}_{dice.getrandbits(64):x}"
    body = b"".join(
        (
            f'Content-Type: multipart/alternative; boundary="{edge}a"\r\n\r\n--{edge}a\r\n'.encode(),
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
            _text(dice, text // 3),
            f"\r\n--{edge}a\r\nContent-Type: text/html; charset=utf-8\r\n".encode(),
            b"Content-Transfer-Encoding: 8bit\r\n\r\n<html><body><p>",
            _text(dice, text * 2 // 3, "</p>\r\n<p>"),
            f"</p></body></html>\r\n--{edge}a--\r\n".encode(),
        )
    )
    if not files:
        return Mail(lines.encode() + body, message_id, subject, ())
    sent: list[SentFile] = []
    parts = [lines.encode(), f'Content-Type: multipart/mixed; boundary="{edge}"\r\n\r\n--{edge}\r\n'.encode(), body]
    for index, size in enumerate(files):
        template, kind = _FILES[(number + index) % len(_FILES)]
        name = template.format(n=f"{number}-{index}")
        content, coded = _content(dice, size)
        sent.append(SentFile(name, len(content), hashlib.sha256(content).hexdigest()))
        encoded = "=?utf-8?b?" + base64.b64encode(name.encode()).decode() + "?="
        parts.append(
            f'\r\n--{edge}\r\nContent-Type: {kind}; name="{encoded}"\r\nContent-Transfer-Encoding: base64\r\n'
            f'Content-Disposition: attachment; filename="{encoded}"\r\n\r\n'.encode()
        )
        parts.append(coded)
    parts.append(f"\r\n--{edge}--\r\n".encode())
    return Mail(b"".join(parts), message_id, subject, tuple(sent))


def make_mailbox(count: int, *, average: int = 75_000, seed: int = 1) -> Iterator[Mail]:
    """`count` messages of `average` bytes each on average: most are short, a tenth carries most of the bytes."""
    dice = random.Random(seed)
    small = min(8_000, average // 2)
    heavy = max(20_000, int((average - 0.9 * (small + 3_000) - 600) * 10 / 1.37))  # base64 adds a third
    for number in range(count):
        text = int(small * dice.uniform(0.3, 1.7))
        files: tuple[int, ...] = ()
        if number % 10 == 7:
            total = int(heavy * dice.uniform(0.2, 1.8))
            files = (total,) if dice.random() < 0.6 else (total // 4, total - total // 4)
        yield make_mail(number, seed=seed, text=text, files=files)
