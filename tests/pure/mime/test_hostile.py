"""Mail made to hurt: the work is bounded, whatever the bytes, and still there is something to store."""

import codecs
import random
import time
import tracemalloc

import pytest

from mailcore.mime.parse import parse
from mailcore.mime.structure import MAX_DEPTH, MAX_PARTS

SIZE = 2_000_000
MARK = codecs.BOM_UTF8
SECONDS = 2.0  # each takes under 0.5 s on a machine at rest; what is quadratic takes minutes

MULTIPART = b"From: a@b.c\nContent-Type: multipart/mixed; boundary=B\n\n"


def filled(head: bytes, piece: bytes, tail: bytes = b"") -> bytes:
    return head + piece * (SIZE // len(piece)) + tail


def nested(depth: int, *, one_boundary: bool = False) -> bytes:
    names = [b"b" if one_boundary else b"b%d" % i for i in range(depth)]
    opened = b"".join(b'Content-Type: multipart/mixed; boundary="%s"\n\n--%s\n' % (name, name) for name in names)
    return opened + b"\nhi\n" + b"".join(b"--%s--\n" % name for name in reversed(names))


def numbered(head: bytes, piece: bytes, count: int) -> bytes:
    return head + b"".join(piece % i for i in range(count)) + b"\n\n"


BASE64 = b"Content-Transfer-Encoding: base64\nContent-Disposition: attachment\n\n"
PRINTABLE = b"Content-Transfer-Encoding: quoted-printable\n\n"
TNEF = b"Content-Type: application/ms-tnef\n\n\x78\x9f\x3e\x22\0\0"
ATTACHMENT = b"\x02\x02\x90\x06\0\0\0\0\0\0\0"

CASES: dict[str, bytes] = {
    "nesting of 3,000": nested(3_000),
    "nesting of 30,000, never closed": nested(30_000)[:SIZE],
    "nesting of 30,000 in one boundary": nested(30_000, one_boundary=True),
    "100,000 parts": MULTIPART + b"--B\n\nx\n" * 100_000,
    "100,000 parts without a boundary": b"Content-Type: multipart/mixed\n\n" + b"--B\n\nx\n" * 100_000,
    "multiparts in a row": filled(MULTIPART, b"--B\nContent-Type: multipart/mixed\n\nx\n"),
    "lines of dashes": filled(MULTIPART, b"--\n"),
    "nearly delimiters": filled(MULTIPART, b"--BX\n"),
    "nearly delimiters in a header": filled(MULTIPART + b"--B\n", b"--C\n"),
    "what may be delimiters": numbered(b"Content-Type: multipart/mixed\n\n", b"--x%d\n\n", 100_000),
    "empty boundaries": filled(b'Content-Type: multipart/mixed; boundary=""\n\n', b"--\nContent-Type: a/b\n\n"),
    "comments in a type": filled(b"Content-Type: text/plain", b" (a)"),
    "comments never closed": filled(b"Content-Type: text/plain", b"("),
    "names with parentheses": filled(b"Content-Disposition: attachment; ", b"name=a (b);"),
    "blanks in a type": filled(b"Content-Type: text", b" "),
    "flowed lines": filled(b"Content-Type: text/plain; format=flowed\n\n", b"> a \n"),
    "flowed quotes": filled(b"Content-Type: text/plain; format=flowed\n\n \n", b">"),
    "base64 and many footers": filled(b"Content-Transfer-Encoding: base64\n\n", b"QUJD\n\na!\n"),
    "base64 behind a header": filled(b"Content-Transfer-Encoding: base64\n", b"QUJD\n"),
    "a long boundary": b"Content-Type: multipart/mixed; boundary=" + b"x" * SIZE + b"\n\n--" + b"x" * SIZE,
    "no line ends": b"x" * SIZE,
    "only LF": b"\n" * SIZE,
    "only CR": b"\r" * SIZE,
    "only blanks": b" " * SIZE,
    "only NUL": b"\0" * SIZE,
    "only 0xff": b"\xff" * SIZE,
    "a long header line": b"Subject: " + b"x" * SIZE,
    "a much folded header": filled(b"Subject: a", b"\n "),
    "many fields": filled(b"", b"a:\n"),
    "many 8-bit fields": filled(b"", b"\xff:\xff\n"),
    "lines that are no fields": filled(b"From: a\n", b"a\n"),
    "blanks before the header": filled(b"", b" \n", b"Subject: x"),
    "byte order marks": filled(b"", MARK, b"Subject: x"),
    "blanks and byte order marks": filled(b"", b"\n" + MARK),
    "odd lines before a header": filled(b"odd\n" * 5 + b"From: a@b.c\n", b"x:\n"),
    "recipients many times": filled(b"", b"To: a@b.c\n"),
    "names with commas": filled(b"To: ", b"a,"),
    "raw encoded words in addresses": filled(b"To: (", b"=?a?q?x,"),
    "an identifier without end": filled(b"Message-ID: <", b"a "),
    "100,000 addresses": numbered(b"To: x@y.z", b",=?utf-8?q?=C3=A9?= <u%d@e.com>", 100_000),
    "parameters": filled(b"Content-Type: text/plain", b"; a=b"),
    "continued parameters": numbered(b"Content-Type: text/plain", b"; n*%d*=%%%%41", 100_000),
    "quotes in parameters": filled(b"Content-Type: text/plain;", b'a="x"y="', b'";'),
    "unclosed quotes": filled(b"Content-Type: text/plain;", b' a="b"c'),
    "a token without end": b"Content-Type: text/plain; " + b"a" * SIZE,
    "encoded words": filled(b"Subject: ", b"=?utf-8?b?QQ?= "),
    "encoded words in 100,000 charsets": numbered(b"Subject: ", b"=?c%d?q?=e9?= ", 100_000),
    "encoded words never closed": filled(b"Subject: ", b"=?a?q?x"),
    "encoded words among raw bytes": filled(b"Subject: \xff", b"=?a?q?"),
    "punycode": b"Subject: =?punycode?q?" + b"a" * 500_000 + b"-" + b"z" * 500_000 + b"?=\n\n",
    "message ids": filled(b"References: ", b"<a"),
    "a long date": filled(b"Date: ", b"1 "),
    "many bad dates": filled(b"", b"Date: 1 (Feb 10:10:10 -\n"),
    "a date of comments": filled(b"Date: ", b"("),
    "base64 in padded crumbs": filled(BASE64, b"QQ="),
    "base64 and rubbish": filled(BASE64, b"A!"),
    "base64 of padding": filled(BASE64, b"="),
    "equals signs": filled(PRINTABLE, b"="),
    "blanks at no line's end": filled(PRINTABLE, b" ", b"x"),
    "blanks at line ends": filled(PRINTABLE, b" \n"),
    "uuencode begins": filled(b"\n", b"begin 644 a\n"),
    "uuencoded base64 begins": filled(b"\n", b"begin-base64 644 a\n"),
    "uuencode of nothing": filled(b"\nbegin 644 a\n", b"\n"),
    "uuencoded files": filled(b"\n", b"begin 644 a\n#0V%T\nend\n"),
    "ISO-2022-JP escapes": filled(b"Content-Type: text/plain; charset=iso-2022-jp\n\n", b"\x1b$B\x2d\x62"),
    "ISO-2022-JP escapes undeclared": filled(b"\n", b"\x1b$B\x2d\x62"),
    "ISO-2022-JP escapes in a header": filled(b"Subject: ", b"\x1b$B\x2d\x62\x1b(B "),
    "undeclared text": filled(b"\n", b"Gr\xfc\xdfe "),
    "undeclared text that is nothing": filled(b"\n", b"\x81\xff\xa0\xc1"),
    "undeclared words": filled(b"Subject: ", b"=?x?q?=fc=df?= a "),
    "undeclared parts": filled(MULTIPART, b"--B\nSubject: \xfc\n\n\xfc\xdf\n"),
    "8-bit headers, and parts in ten charsets": filled(
        MULTIPART + b"".join(b"--B\nContent-Type: text/plain; charset=cp125%d\n\n" % i for i in range(9)),
        b"--B\nSubject: \xfc\n\n",
    ),
    "charsets that nobody knows": numbered(b"Subject: ", b"=?windows-%d?q?a?= x ", 50_000),
    "UTF-7 surrogates": filled(b"Content-Type: text/plain; charset=utf-7\n\n", b"+2AA-"),
    "TNEF attributes": filled(TNEF, b"\x01\0\0\0\0\0\0\0\0\0\0"),
    "TNEF files": filled(TNEF, ATTACHMENT),
    "TNEF properties": filled(
        TNEF + ATTACHMENT + b"\x02\x05\x90\x06\0" + (SIZE).to_bytes(4, "little") + b"\xff\xff\0\0", b"\x01\0\x01\0"
    ),
    "meta elements": filled(b"Content-Type: text/html\n\n", b"<meta "),
    "content ids": filled(MULTIPART + b"--B\nContent-Type: text/html\n\n", b"cid:%", b"\n--B\nContent-ID: <a>\n\nx"),
} | {
    f"addresses made of {piece!r}": filled(b"To: <", piece)
    for piece in (
        b"<",
        b"(",
        b'"',
        b'\\"',
        b",",
        b":",
        b";",
        b"a ",
        b"@",
        b"a<b",
        b"<a:",
        b'a"b"c<',
        b"@a,",
        b"@a:",
        b". ",
    )
}


@pytest.mark.parametrize("name", CASES)
def test_hostile_mail_costs_little(name: str) -> None:
    raw = CASES[name]
    started = time.process_time()
    parsed = parse(raw)
    assert time.process_time() - started < SECONDS
    assert len(parsed.attachments) <= MAX_PARTS + 1
    assert parsed.subject or parsed.headers or parsed.body_text or parsed.attachments or not raw.strip(b"\0\r\n \xff")


@pytest.mark.parametrize("alphabet", [b' \n\r\t:;=?"<>()@,-ABab012/\\', b"\n-B", b" :;=?\"<>()@,-A\\*'%"])
@pytest.mark.parametrize("head", [b"", MULTIPART, b"To: ", b"Content-Type: a/b;", BASE64, PRINTABLE])
def test_noise_costs_little(alphabet: bytes, head: bytes) -> None:
    raw = head + bytes(random.Random(1).choices(alphabet, k=SIZE // 4))
    started = time.process_time()
    parse(raw)
    assert time.process_time() - started < SECONDS


def test_what_is_nested_too_deeply_is_kept_in_one_piece() -> None:
    raw = nested(MAX_DEPTH + 10)
    parsed = parse(raw)
    assert "too-deep" in parsed.defects
    (attachment,) = parsed.attachments
    assert attachment.part_id.count(".") == MAX_DEPTH - 1
    assert attachment.content.startswith(b"--b%d\n" % MAX_DEPTH)
    assert b"\nhi\n" in attachment.content


def test_parts_beyond_the_cap_are_kept_in_one_piece() -> None:
    raw = MULTIPART + b"--B\nContent-Type: image/png\n\nx\n" * (MAX_PARTS + 10) + b"--B--\n"
    parsed = parse(raw)
    assert "too-many-parts" in parsed.defects
    assert len({attachment.part_id for attachment in parsed.attachments}) == MAX_PARTS
    assert parsed.attachments[-1].content.count(b"image/png") == 11


def test_a_large_attachment_is_held_once() -> None:
    line = b"QUJD" * 19 + b"\r\n"
    raw = MULTIPART + b"--B\nContent-Type: a/b\nContent-Transfer-Encoding: base64\n\n" + line * 200_000 + b"--B--\n"
    tracemalloc.start()
    try:
        parsed = parse(raw)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(parsed.attachments[0].content) == 200_000 * 57
    assert peak < 200_000 * 57 * 1.1
