"""The demo's mails: a handful of everyday kinds, each with an attachment, different at each number. Pure."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final


@dataclass(frozen=True)
class Sample:
    """`raw` are the RFC 5322 bytes with CRLF line ends."""

    sender: str
    subject: str
    raw: bytes


@dataclass(frozen=True)
class _File:
    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True)
class _Kind:
    sender: str
    address: str
    subject: str
    text: str
    file: Callable[[int, datetime], _File]


def sample(number: int, now: datetime) -> Sample:
    """The mail with this number, written at `now` (aware)."""
    kind = KINDS[(number - 1) % len(KINDS)]
    message = EmailMessage()
    message["From"] = f"{kind.sender} <{kind.address}>"
    message["To"] = "You <you@example.org>"
    message["Subject"] = subject = kind.subject.format(number=number)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{number}.{now.timestamp():.6f}@demo.example.org>"
    message.set_content(kind.text.format(number=number))
    file = kind.file(number, now)
    main, _, sub = file.content_type.partition("/")
    message.add_attachment(file.content, maintype=main, subtype=sub, filename=file.name)
    message.set_boundary(f"part-{number}-{now.timestamp():.6f}")
    raw = message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return Sample(kind.sender, subject, raw)


def _invoice(number: int, now: datetime) -> _File:
    lines = (f"Invoice {now:%Y}-{number:03}", f"{now:%d %B %Y}", "1 x Mailbox Sync, demo edition", "Total: 0.00")
    return _File(f"invoice-{now:%Y}-{number:03}.pdf", "application/pdf", _pdf(lines))


def _photo(number: int, _: datetime) -> _File:
    return _File(f"Größe und Façade {number}.png", "image/png", _png(96, 96, number))


def _report(number: int, now: datetime) -> _File:
    rows = [
        f"{now + timedelta(minutes=minute):%H:%M},{(number * 7919 + minute * 104729) % 1000}" for minute in range(400)
    ]
    return _File(f"visits-{now:%Y-%m-%d}.csv", "text/csv", "\r\n".join(("minute,visits", *rows)).encode())


def _invitation(number: int, now: datetime) -> _File:
    start = now + timedelta(days=1)
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Mozzart//Demo//EN",
        "BEGIN:VEVENT",
        f"UID:{number}@demo.example.org",
        f"DTSTAMP:{now:%Y%m%dT%H%M%SZ}",
        f"DTSTART:{start:%Y%m%dT%H%M%SZ}",
        "SUMMARY:Planning",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    )
    return _File("planning.ics", "text/calendar", "\r\n".join(lines).encode())


def _scan(number: int, _: datetime) -> _File:
    return _File("../../etc/scan of contract.png", "image/png", _png(160, 220, number))


KINDS: Final = (
    _Kind("Ana Kovač", "ana@billing.example.com", "Invoice {number:03}", "Dear customer, your invoice.", _invoice),
    _Kind("Jürgen Groß", "juergen@example.net", "Fotos vom Umbau ({number})", "Schöne Grüße!", _photo),
    _Kind("Reports", "reports@example.com", "Visits, run {number}", "The numbers of today are attached.", _report),
    _Kind("山田 花子", "hanako@example.jp", "打ち合わせ {number}", "カレンダーを添付します。", _invitation),
    _Kind(
        "Scanner 2nd floor", "scan@example.com", "Scan {number} (with a hostile file name)", "See attachment.", _scan
    ),
)


def _pdf(lines: tuple[str, ...]) -> bytes:
    """One page of text that any viewer opens (ISO 32000-1, §7.5)."""
    text = " ".join(f"({line}) Tj 0 -28 Td" for line in lines)
    stream = f"BT /F1 18 Tf 72 760 Td {text} ET".encode()
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        table,
        len(objects) + 1,
        len(out),
    )


def _png(width: int, height: int, seed: int) -> bytes:
    """A coloured gradient (PNG, W3C, §11)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(
        b"\0"
        + bytes(value for x in range(width) for value in ((x * 2 + seed * 40) % 256, (y * 2) % 256, (x ^ y) % 256))
        for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
