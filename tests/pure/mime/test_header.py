"""Where a header begins, and what its fields say when they come twice or empty."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.mime.model import ParsedMessage
from mailcore.mime.parse import parse

FIELDS = b"Subject: order\r\nFrom: Eva <eva@example.org>\r\nX-Id: 7\r\n\r\n"
MARK = codecs.BOM_UTF8
TWICE = MARK.decode("latin-1").encode()


def heads(parsed: ParsedMessage) -> tuple[str, str, str]:
    return parsed.subject, parsed.from_email, parsed.body_text


WHOLE = ("order", "eva@example.org", "body")


@pytest.mark.parametrize("before", [MARK, MARK * 2, TWICE, MARK + b"\r\n", b"\n" + MARK, MARK + b"From eva Mon\n"])
def test_a_byte_order_mark_before_the_header_hides_nothing(before: bytes) -> None:
    assert heads(parse(before + FIELDS + b"body")) == WHOLE


def test_a_byte_order_mark_is_named() -> None:
    assert parse(MARK + FIELDS).defects == ("byte-order-mark",)
    assert heads(parse(MARK + b"X-Own: 1\n" + FIELDS + b"body")) == WHOLE


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-be", "utf-16-le"])
def test_a_message_saved_as_utf_16_is_read(codec: str) -> None:
    text = FIELDS.decode() + "body"
    raw = text.encode(codec) if codec == "utf-16" else ("\ufeff" + text).encode(codec)
    assert heads(parse(raw)) == WHOLE
    assert "byte-order-mark" in parse(raw).defects


@pytest.mark.parametrize(
    "before",
    [
        b"Kept by the gateway\r\n",
        b"+OK 1234 octets follow\r\n",
        b"the message of today:\r\n",
        b"\x01\x01\x01\x01\n",
        b"#! rnews 100\none more\n",
        MARK + b"odd\r\n",
    ],
)
def test_odd_lines_before_the_header_hide_nothing(before: bytes) -> None:
    parsed = parse(before + FIELDS + b"body")
    assert heads(parsed) == WHOLE
    assert "bad-header" in parsed.defects


@pytest.mark.parametrize(
    "raw",
    [
        b"Dear all,\nplease come.\n\nSubject: x\nFrom: a@b.c\n",
        b"Dear all,\nDate: tomorrow\nplease come.\n",
        b"Dear all,\nnote: x\nplace: y\n\n",
    ],
)
def test_text_without_a_header_stays_text(raw: bytes) -> None:
    parsed = parse(raw)
    assert parsed.body_text == raw.decode()
    assert parsed.defects == ("missing-header",)


LINES = st.lists(
    st.sampled_from([b"From: a@b.c", b"odd line", b"Subject: s", b" folded", b"X-A: 1", b"", MARK]), max_size=9
)


@given(LINES)
def test_any_beginning_is_read_without_loss(lines: list[bytes]) -> None:
    parsed = parse(b"\n".join([*lines, b"", b"the end"]))
    assert "the end" in parsed.body_text


def test_destinations_given_twice_are_one_list() -> None:
    parsed = parse(
        b"To: a@x.org\nTo:\nTO: b@x.org, c@x.org\nCc:\ncc: d@x.org\nCc: e@x.org\n"
        b"Reply-To: \nReply-To: f@x.org\nReply-To: g@x.org\n\n"
    )
    assert parsed.to_emails == ("a@x.org", "b@x.org", "c@x.org")
    assert parsed.cc_emails == ("d@x.org", "e@x.org")
    assert parsed.reply_to == ("f@x.org", "g@x.org")


def test_an_empty_field_hides_no_other() -> None:
    parsed = parse(
        b"Subject:\nFrom: \nMessage-ID:\nDate:\nReferences:\nContent-Type:\n"
        b"Subject: s\nFrom: a@x.org\nMessage-ID: <1@x>\nDate: Mon, 2 Mar 2026 10:00:00 +0000\nReferences: <0@x>\n"
        b"Content-Type: text/html\n\n<p>"
    )
    assert (parsed.subject, parsed.from_email, parsed.message_id) == ("s", "a@x.org", "<1@x>")
    assert parsed.sent_at is not None
    assert parsed.references == ("<0@x>",)
    assert parsed.body_html == "<p>"
    assert [name for name, _ in parsed.headers].count("Subject") == 2


def test_the_sender_is_the_first_address_there_is() -> None:
    assert parse(b"From: postmaster\nSender: Eva <e@x.org>\n\n").from_email == "e@x.org"
    assert parse(b"From: postmaster\n\n").from_email == "postmaster"
    assert parse(b"From: Eva <>\n\n").from_name == "Eva"
    assert parse(b"From: Otto, e@x.org\n\n").from_email == "e@x.org"
    assert parse(b"From: a@x.org\nFrom: b@x.org\n\n").from_email == "a@x.org"


def test_nobody_is_written_to_without_an_address() -> None:
    assert parse(b'To: "Nobody" <>, <>, a@x.org\nCc: <>\n\n').to_emails == ("a@x.org",)
    assert parse(b'To: "Nobody" <>, <>, a@x.org\nCc: <>\n\n').cc_emails == ()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"<one two@x.org>", "<one two@x.org>"),
        (b"<one\r\n  two@x.org> (added)", "<one two@x.org>"),
        (b"one two@x.org", "one two@x.org"),
        (b"< one@x.org >", "< one@x.org >"),
    ],
)
def test_an_identifier_with_blanks_is_kept_whole(written: bytes, read: str) -> None:
    parsed = parse(b"Message-ID: " + written + b"\r\nReferences: <a b@x>\r\n <c@x>\r\n\r\n")
    assert parsed.message_id == read
    assert parsed.references == ("<a b@x>", "<c@x>")
