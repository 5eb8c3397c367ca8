"""Messages as they come: what parse() makes of them, and the defects it names."""

import base64
from datetime import UTC, datetime

import pytest

from mailcore.mime.model import ParsedMessage
from mailcore.mime.parse import MAX_BODY_BYTES, parse


def message(*lines: str | bytes) -> bytes:
    return b"\r\n".join(line.encode() if isinstance(line, str) else line for line in lines) + b"\r\n"


def mixed(*parts: bytes, header: str = 'Content-Type: multipart/mixed; boundary="B"') -> bytes:
    body = b"".join(b"--B\r\n" + part + b"\r\n" for part in parts)
    return message("Subject: x", header, "") + body + b"--B--\r\n"


def files(parsed: ParsedMessage) -> list[tuple[str, str, bytes]]:
    return [(a.part_id, a.filename, a.content) for a in parsed.attachments]


def test_the_columns_of_a_plain_message() -> None:
    parsed = parse(
        message(
            "Return-Path: <bounce@example.com>",
            "From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>",
            'To: "B, A" <a@example.org>, c@example.org',
            "Cc: d@example.org",
            "Reply-To: Answers <answers@example.com>",
            "Subject: =?utf-8?q?Gr=C3=BC?=",
            " =?utf-8?q?=C3=9Fe?= folded",
            "Date: Tue, 04 Mar 2025 10:11:12 +0100",
            "Message-ID: <1@example.com>",
            "In-Reply-To: <0@example.com>",
            "References: <a@example.com>",
            " <0@example.com>",
            "Received: one",
            "Received: two",
            "",
            "Hello",
        )
    )
    assert parsed.from_name == "Jürgen"
    assert parsed.from_email == "j@example.com"
    assert parsed.to_emails == ("a@example.org", "c@example.org")
    assert parsed.cc_emails == ("d@example.org",)
    assert parsed.to_names == ("B, A", "")
    assert parsed.cc_names == ("",)
    assert parsed.reply_to == ("answers@example.com",)
    assert parsed.subject == "Grüße folded"
    assert parsed.sent_at == datetime(2025, 3, 4, 9, 11, 12, tzinfo=UTC)
    assert parsed.message_id == "<1@example.com>"
    assert parsed.in_reply_to == "<0@example.com>"
    assert parsed.references == ("<a@example.com>", "<0@example.com>")
    assert [value for name, value in parsed.headers if name == "Received"] == ["one", "two"]
    assert parsed.headers[1] == ("From", "Jürgen <j@example.com>")
    assert parsed.body_text == "Hello\r\n"
    assert parsed.defects == ()


@pytest.mark.parametrize("eol", [b"\n", b"\r\n", b"\r"])
def test_line_ends_of_any_kind_set_lines_apart(eol: bytes) -> None:
    raw = mixed(b"Content-Type: text/plain\r\n\r\nhello", b"Content-Type: image/png; name=a.png\r\n\r\npng")
    parsed = parse(raw.replace(b"\r\n", eol))
    assert parsed.subject == "x"
    assert parsed.body_text == "hello"
    assert files(parsed) == [("2", "a.png", b"png")]
    assert parsed.defects == (("bare-cr",) if eol == b"\r" else ())


def test_part_ids_are_imap_part_numbers() -> None:
    inner = (
        b'Content-Type: multipart/alternative; boundary="I"\r\n\r\n'
        b"--I\r\nContent-Type: text/plain\r\n\r\ntext\r\n--I\r\nContent-Type: text/html\r\n\r\n<p>\r\n"
        b"--I\r\nContent-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n--I--\r\n"
    )
    parsed = parse(mixed(inner, b"Content-Type: image/png\r\n\r\npng"))
    assert files(parsed) == [("1.3", "", b"BEGIN:VCALENDAR"), ("2", "", b"png")]
    assert (parsed.body_text, parsed.body_html) == ("text", "<p>")
    assert files(parse(message("Content-Type: image/png; name=a", "", "png"))) == [("1", "a", b"png\r\n")]


def test_text_parts_are_joined_in_order() -> None:
    parsed = parse(
        mixed(
            b"\r\none",
            b"Content-Type: image/png\r\n\r\npng",
            b"\r\ntwo",
            b"Content-Type: text/html\r\n\r\n<p>",
            b"Content-Type: text/html\r\n\r\n<b>",
        )
    )
    assert parsed.body_text == "one\n\ntwo"
    assert parsed.body_html == "<p>\n<br>\n<b>"


def test_a_text_with_a_name_or_meant_to_be_saved_is_an_attachment() -> None:
    parsed = parse(
        mixed(
            b"\r\nbody",
            b"Content-Disposition: attachment\r\n\r\nsaved",
            b"Content-Type: text/plain; name=n.txt\r\n\r\nnamed",
            b"Content-Type: text/html\r\nContent-Disposition: inline; filename=h.html\r\n\r\n<p>",
        )
    )
    assert files(parsed) == [("2", "", b"saved"), ("3", "n.txt", b"named"), ("4", "h.html", b"<p>")]
    assert (parsed.body_text, parsed.body_html) == ("body", "")


def test_a_message_whose_only_text_is_named_shows_it() -> None:
    parsed = parse(message("Content-Type: text/plain; name=n.txt", "", "hello"))
    assert files(parsed) == [("1", "n.txt", b"hello\r\n")]
    assert parsed.body_text == "hello\r\n"
    named = b"Content-Type: text/html; name=body.html\r\n\r\n<p>"
    parsed = parse(mixed(named, header='Content-Type: multipart/alternative; boundary="B"'))
    assert (files(parsed), parsed.body_html) == ([], "<p>")


def test_an_attached_message_is_one_attachment_with_its_exact_bytes() -> None:
    attached = mixed(b"Content-Type: image/png; name=inner.png\r\n\r\npng").replace(b"B", b"C") + b"\r\n \xff\0 end"
    parsed = parse(mixed(b"Content-Type: message/rfc822\r\n\r\n" + attached))
    assert files(parsed) == [("1", "", attached)]


def test_the_parts_of_a_digest_are_messages() -> None:
    parsed = parse(mixed(b"\r\nSubject: inner\r\n\r\nbody", header='Content-Type: multipart/digest; boundary="B"'))
    assert [a.content_type for a in parsed.attachments] == ["message/rfc822"]


@pytest.mark.parametrize(
    "kind", ["message/partial; number=1", "message/external-body; access-type=ftp", "message/delivery-status"]
)
def test_other_message_types_are_kept_as_they_are(kind: str) -> None:
    parsed = parse(mixed(f"Content-Type: {kind}\r\n\r\nSubject: inner\r\n\r\n".encode()))
    assert files(parsed) == [("1", "", b"Subject: inner\r\n\r\n")]


def test_what_the_html_refers_to_is_inline() -> None:
    parsed = parse(
        mixed(
            b'Content-Type: text/html\r\n\r\n<img src="cid:a%40b"><img src=CID:c>',
            b"Content-Type: image/png\r\nContent-ID: <a@b>\r\n\r\n1",
            b"Content-Type: image/png\r\nContent-ID: c\r\nContent-Disposition: attachment\r\n\r\n2",
            b"Content-Type: image/png\r\nContent-ID: <d>\r\n\r\n3",
            b"Content-Type: image/png\r\nContent-Disposition: inline\r\n\r\n4",
            header='Content-Type: multipart/related; boundary="B"',
        )
    )
    assert [(a.content_id, a.inline) for a in parsed.attachments] == [
        ("a@b", True),
        ("c", True),
        ("d", False),
        ("", True),
    ]


def test_uuencoded_files_leave_the_text() -> None:
    parsed = parse(message("Subject: x", "", "before", "begin 644 a b.txt", "#0V%T", "`", "end", "after"))
    assert files(parsed) == [("1.uu.1", "a b.txt", b"Cat")]
    assert parsed.body_text == "before\r\nafter\r\n"
    assert parsed.defects == ("uuencode",)


def test_format_flowed_is_joined() -> None:
    raw = message("Content-Type: text/plain; format=Flowed; delsp=YES", "", "zu", "sam ", "men", "> b ", "> c", " -- ")
    assert parse(raw).body_text == "zu\r\nsammen\r\n> bc\r\n-- \r\n"
    assert parse(raw.replace(b"; format=Flowed", b"")).body_text == raw.partition(b"\r\n\r\n")[2].decode()


def test_flowed_html_is_left_alone() -> None:
    assert parse(message("Content-Type: text/html; format=flowed", "", "<p>a ", " b")).body_html == "<p>a \r\n b\r\n"


@pytest.mark.parametrize("subtype", ["x-notes", "markdown", "enriched", "calendar", "x"])
def test_the_only_text_is_the_body_whatever_its_subtype(subtype: str) -> None:
    parsed = parse(message(f"Content-Type: text/{subtype}; charset=iso-8859-1", "", b"Gr\xfc\xdfe"))
    assert parsed.body_text == "Grüße\r\n"
    assert files(parsed) == [("1", "", b"Gr\xfc\xdfe\r\n")]
    other = f"Content-Type: text/{subtype}\r\n\r\nother".encode()
    assert parse(mixed(b"\r\nplain", other)).body_text == "plain"
    assert parse(mixed(b"Content-Disposition: attachment\r\n" + other)).body_text == ""
    assert parse(mixed(f"Content-Type: text/{subtype}; name=a.x\r\n\r\nx".encode())).body_text == ""


def test_a_picture_is_found_by_its_id_as_html_writes_it() -> None:
    for content_id, written in (
        ("a&b@x", "a&amp;b@x"),
        ("a b(1)@x", "a b(1)@x"),
        ("a%b@x", "a%25b@x"),
        ("ü", "&uuml;"),
    ):
        html = f'Content-Type: text/html; charset=utf-8\r\n\r\n<img src="CID:{written}">'.encode()
        picture = f"Content-Type: image/png\r\nContent-ID: <{content_id}>\r\n\r\npng".encode()
        (attachment,) = parse(mixed(html, picture)).attachments
        assert attachment.inline, content_id


@pytest.mark.parametrize(
    "value",
    [
        "multipart/mixed; boundary=B (made by hand)",
        "multipart / mixed ; boundary = B",
        "multipart/mixed (all of it); boundary=B",
        "(first) multipart/mixed; (then) boundary=(now)B",
        'multipart/mixed; boundary="B" (a; b=c)',
        "multipart/mixed; boundary=B charset=utf-8",
        "multipart/mixed; boundary*=us-ascii''B",
        "MULTIPART/MIXED (a (nested) one) ; type=text/plain; BOUNDARY=B",
    ],
)
def test_comments_and_blanks_between_the_tokens_of_a_type_mean_nothing(value: str) -> None:
    parsed = parse(mixed(b"\r\nhello", b"Content-Type: image/png\r\n\r\npng", header=f"Content-Type: {value}"))
    assert (parsed.body_text, files(parsed), parsed.defects) == ("hello", [("2", "", b"png")], ())


def test_a_boundary_is_compared_as_it_stands() -> None:
    for boundary in ("=?utf-8?Q?B?=", "a=?x?q?=41?=b"):
        raw = mixed(b"\r\nhello", header=f'Content-Type: multipart/mixed; boundary="{boundary}"')
        assert parse(raw.replace(b"\r\n--B", b"\r\n--" + boundary.encode())).body_text == "hello"


DRAWN = [
    "----------------",
    "--",
    "-- ",
    "--Eva",
    "---------- Forwarded ----------",
    "--\r\n--",
    "--Eva\r\n\r\nPS: --Eve",
]


@pytest.mark.parametrize("drawn", DRAWN)
@pytest.mark.parametrize(
    "value", ["multipart/mixed", 'multipart/mixed; boundary=""', "multipart/alternative; boundary="]
)
def test_a_line_of_dashes_in_a_text_is_no_delimiter(drawn: str, value: str) -> None:
    text = f"Pay 4711.\r\n{drawn}\r\nEva\r\n\r\nand more\r\n"
    parsed = parse(message(f"Content-Type: {value}", "", text.removesuffix("\r\n")))
    assert parsed.body_text == text
    assert "missing-boundary" in parsed.defects


def test_an_empty_boundary_is_two_dashes() -> None:
    raw = (
        b'Content-Type: multipart/mixed; boundary=""\n\npreamble\n--\nContent-Type: text/plain\n\nhello\n-- \nEva\n'
        b"--\nContent-Type: image/png\n\npng\n----\nepilogue\n"
    )
    for eol in (b"\n", b"\r\n"):
        parsed = parse(raw.replace(b"\n", eol))
        assert parsed.body_text == b"hello\n-- \nEva".replace(b"\n", eol).decode()
        assert files(parsed) == [("2", "", b"png")]


def test_base64_right_behind_the_header_of_its_part_is_kept() -> None:
    data = bytes(range(200))
    lines = base64.encodebytes(data).replace(b"\n", b"\r\n")
    head = b"Content-Type: image/png;\r\n name=a.png\r\nContent-Transfer-Encoding: base64\r\n"
    for between in (b"", b"\r\n"):
        assert files(parse(mixed(head + between + lines))) == [("1", "a.png", data)]
    assert files(parse(head + lines)) == [("1", "a.png", data)]
    assert files(parse(mixed(head + lines[:78] + b"\r\n" + lines[78:]))) == [("1", "a.png", data)]


FOOTERS = [
    b"_______________________\r\nThe list\r\nlist@x.org\r\nhttp://x.org/?a=b\r\n",
    b"-- \r\nto leave, write to the owner\r\n",
    b"\r\nSent by the gateway of example dot org\r\n",
    b"=======================\r\nThis list is moderated.\r\n",
    b"\r\n\r\n*** scanned: no virus was found ***\r\n",
]


@pytest.mark.parametrize("footer", FOOTERS)
@pytest.mark.parametrize("text", ["Grüße aus Ulm", "Grüße aus Ulm.", "Grüße aus Ulm..", "Zeile für Zeile, " * 20])
def test_what_a_list_put_below_base64_is_no_part_of_it(footer: bytes, text: str) -> None:
    encoded = base64.encodebytes(text.encode()).replace(b"\n", b"\r\n")
    head = message("Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64", "")
    for lines in (encoded, encoded.replace(b"=", b"")):
        parsed = parse(head + lines + footer)
        assert parsed.body_text == text
        assert parsed.defects == ("bad-base64",)


def test_broken_base64_spoils_no_other_part() -> None:
    bad = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n?AAA"
    head = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    for text in (b" aGVs bG8s\r\n IGZy aWVu ZHM=", b"\taGVsbG8s IGZyaWVuZHM="):
        assert parse(mixed(bad, head + text)).body_text == "hello, friends"
    for text in ("Hi, all of you", "Hello all\r\nhow are you", "no base64 at all, but a text of some length"):
        assert parse(mixed(bad, head + text.encode())).body_text == text


def test_the_charset_of_html_may_stand_in_the_html() -> None:
    raw = message("Content-Type: text/html", "", b'<meta charset="koi8-r">' + "Привет".encode("koi8-r"))
    parsed = parse(raw)
    assert "Привет" in parsed.body_html
    assert parsed.defects == ()


def test_raw_bytes_in_a_header_are_utf8_or_guessed() -> None:
    parsed = parse("Subject: Grüße\nFrom: Jürgen <j@mächine.example>\n\n".encode())
    assert (parsed.subject, parsed.from_name, parsed.from_email) == ("Grüße", "Jürgen", "j@mächine.example")
    assert parsed.defects == ()
    parsed = parse("Subject: Grüße\n\n".encode("latin-1"))
    assert (parsed.subject, parsed.defects) == ("Grüße", ("8bit-header",))
    parsed = parse("Subject: Привет\nContent-Type: text/plain; charset=koi8-r\n\n".encode("koi8-r"))
    assert parsed.subject == "Привет"
    parsed = parse(b"Subject: =?iso-8859-1?Q?Fr\xf6sche?=\n\n")
    assert parsed.subject == "Frösche"


@pytest.mark.parametrize(
    ("raw", "defect"),
    [
        (message("Content-Transfer-Encoding: base64", "", "QUJD!REVG"), "bad-base64"),
        (message("Content-Transfer-Encoding: quoted-printable", "", "a=ZZ"), "bad-quoted-printable"),
        (message("Content-Transfer-Encoding: rot13", "", "a"), "unknown-transfer-encoding"),
        (message("Content-Type: text/plain; charset=nonsense", "", "a"), "unknown-charset"),
        (message("Content-Type: text/plain; charset=utf-8", "", b"\xff"), "bad-charset"),
        (message("Subject: x", "", b"\xff"), "undeclared-8bit"),
        (message("Subject: a\0b", "", ""), "nul"),
        (message("Subject: x", "", "a\0b"), "nul"),
        (message("Subject: x", "garbage", "", "body"), "bad-header"),
        (message("To: nobody", "", "body"), "bad-address"),
        (message("Date: yesterday", "", "body"), "bad-date"),
        (message("Subject: =?utf-8?q?never closed", "", ""), "bad-encoded-word"),
        (message("Content-Type: text", "", ""), "bad-content-type"),
        (message("Content-Type: a/b; name*x=1", "", ""), "bad-parameter"),
        (message("Content-Type: multipart/mixed", "", "text"), "missing-boundary"),
        (message("Content-Type: multipart/mixed; boundary=B", "", "text"), "missing-boundary"),
        (message("Content-Type: multipart/mixed; boundary=B", "", "--B", "", "text"), "unclosed-multipart"),
        (message("Content-Type: multipart/mixed; boundary=B", "", "--B").rstrip(), "truncated"),
        (mixed(b"\r\none") + b"--B\r\n\r\ntwo\r\n--B--\r\n", "parts-after-close"),
        (b"just some words\r\nand more\r\n", "missing-header"),
        (b"\r\n\r\nSubject: late\r\n\r\nbody", "blank-before-header"),
    ],
)
def test_a_defect_has_a_name(raw: bytes, defect: str) -> None:
    assert defect in parse(raw).defects


def test_a_multipart_without_boundary_is_taken_apart_by_its_first_delimiter() -> None:
    raw = mixed(b"\r\nhello", b"Content-Type: image/png\r\n\r\npng", header="Content-Type: multipart/mixed")
    parsed = parse(raw)
    assert parsed.body_text == "hello"
    assert files(parsed) == [("2", "", b"png")]
    assert parsed.defects == ("missing-boundary",)


def test_a_multipart_that_is_none_shows_its_text() -> None:
    parsed = parse(message("Content-Type: multipart/mixed; boundary=B", "", "no delimiter at all"))
    assert parsed.body_text == "no delimiter at all\r\n"


def test_the_outer_delimiter_ends_an_inner_multipart() -> None:
    inner = b'Content-Type: multipart/mixed; boundary="I"\r\n\r\n--I\r\nContent-Type: image/png\r\n\r\none'
    parsed = parse(mixed(inner, b"Content-Type: image/png\r\n\r\ntwo"))
    assert files(parsed) == [("1.1", "", b"one"), ("2", "", b"two")]
    assert parsed.defects == ("unclosed-multipart",)


def test_a_boundary_that_another_begins_with_is_not_confused_with_it() -> None:
    inner = b'Content-Type: multipart/mixed; boundary="BB"\r\n\r\n--BB\r\n\r\none\r\n--BB--'
    parsed = parse(mixed(inner, b"Content-Type: image/png\r\n\r\n--Bx\r\n --B\r\n--B-\r\nx--B"))
    assert parsed.body_text == "one"
    assert files(parsed) == [("2", "", b"--Bx\r\n --B\r\n--B-\r\nx--B")]


def test_the_same_boundary_inside_and_outside_belongs_to_the_inner_multipart() -> None:
    inner = b'Content-Type: multipart/mixed; boundary="B"\r\n\r\n--B\r\n\r\none\r\n--B--'
    assert parse(mixed(inner, b"Content-Type: image/png\r\n\r\npng")).attachments[0].content == b"png"


def test_parts_after_the_closing_delimiter_are_kept() -> None:
    parsed = parse(mixed(b"\r\none") + b"--B\r\nContent-Type: image/png\r\n\r\npng\r\n--B--\r\n")
    assert files(parsed) == [("2", "", b"png")]


def test_a_delimiter_with_blanks_behind_it_is_one() -> None:
    raw = mixed(b"Content-Type: image/png\r\n\r\npng").replace(b"--B\r\n", b"--B \t\r\n")
    assert files(parse(raw)) == [("1", "", b"png")]


def test_bodies_without_an_empty_line_before_them_are_found() -> None:
    assert parse(b"Subject: x\nThis is the body.\n\nAnd more.").body_text == "This is the body.\n\nAnd more."
    raw = b"Subject: x\nContent-Type: multipart/mixed; boundary=B\n--B\n\ntext\n--B\nContent-Type: a/b\n\npng\n--B--"
    parsed = parse(raw)
    assert (parsed.body_text, files(parsed)) == ("text", [("2", "", b"png")])
    assert [name for name, _ in parsed.headers] == ["Subject", "Content-Type"]


def test_a_parameter_on_a_line_that_was_not_folded_counts() -> None:
    parsed = parse(mixed(b'Content-Type: image/png;\r\nname="a.png"\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD'))
    assert files(parsed) == [("1", "a.png", b"ABC")]


def test_text_that_only_claims_to_be_base64_stays_text() -> None:
    parsed = parse(message("Content-Transfer-Encoding: base64", "", "This is just text, is it not?"))
    assert parsed.body_text == "This is just text, is it not?\r\n"
    assert parsed.defects == ("bad-base64",)


def test_an_mbox_line_is_no_header_and_no_defect() -> None:
    parsed = parse(b"From me@example.com Tue Mar  4 10:11:12 2025\nSubject: x\n\nbody")
    assert (parsed.subject, parsed.body_text, parsed.defects) == ("x", "body", ())


@pytest.mark.parametrize("raw", [b"", b"\n", b"\r\n\r\n", b" "])
def test_an_empty_message_is_a_message(raw: bytes) -> None:
    parsed = parse(raw)
    assert (parsed.subject, parsed.body_text, parsed.attachments) == ("", "", ())


def test_garbage_is_a_body() -> None:
    parsed = parse(b"\x00\xff\xfe garbage \x80")
    assert "garbage" in parsed.body_text
    assert "missing-header" in parsed.defects


def test_a_text_too_long_for_a_row_is_kept_as_an_attachment() -> None:
    text = "äöü line\n".encode() * (MAX_BODY_BYTES // 10)
    parsed = parse(b"Subject: x\n\n" + text)
    assert files(parsed) == [("1", "", text)]
    assert text.decode().startswith(parsed.body_text)
    assert len(parsed.body_text.encode()) > MAX_BODY_BYTES - 20
    assert parsed.defects == ("body-too-large",)


def test_what_comes_first_of_two_counts() -> None:
    parsed = parse(message("Subject: one", "Subject: two", "From: a@b.c", "From: d@e.f", "", ""))
    assert (parsed.subject, parsed.from_email) == ("one", "a@b.c")
    assert len(parsed.headers) == 4


def test_an_attachment_is_decoded_as_it_says_whatever_comes_out() -> None:
    head = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\n"
    assert files(parse(mixed(head + b"Hi, all of you"))) == [("1", "", base64.b64decode(b"Hiallofyou=="))]
