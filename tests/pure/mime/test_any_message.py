"""What holds for every message: any bytes parse, everything can be stored, what is well made comes back whole."""

from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailcore.events.identity import Identity
from mailcore.mime.model import ParsedMessage
from mailcore.mime.parse import parse
from mailcore.mime.path import attachment_path

IDENTITY = Identity("default", "INBOX", 1, 7)
NOW = datetime(2026, 1, 1, tzinfo=UTC)

TOKENS = st.sampled_from(
    [
        *(b"\n", b"\r\n", b"\r", b"\n\n", b" ", b"\t", b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"a", b"=41", b"QUJD"),
        *(b'"', b";", b":", b",", b"<", b">", b"(", b")", b"@", b"*0*=", b"''", b"%41", b"\\", b"=?", b"?=", b"x@y.z"),
        *(
            b"From ",
            b"From: ",
            b"To: ",
            b"Cc: ",
            b"Subject: ",
            b"Date: ",
            b"References: ",
            b"Message-ID: ",
            b"Reply-To: ",
        ),
        *(
            b"Content-Type: ",
            b"multipart/mixed; ",
            b"boundary=B\n",
            b"boundary=C\n",
            b"\n--B\n",
            b"\n--C\n",
            b"\n--B--\n",
        ),
        *(b"text/plain; charset=", b"text/html", b"message/rfc822", b"image/png; name=", b"application/ms-tnef"),
        *(b"utf-7", b"utf-16", b"iso-2022-jp", b"gb18030", b"idna", b"unicode_escape", b"nonsense", b"+2AA-", b"~{"),
        *(b"=?utf-8?q?=C3?=", b"=?utf-8?b?w6k=?=", b"=?utf-16?b?AADY?=", b"=?utf-7?q?+2AA-?=", b"\x1b$B\x2d\x62"),
        *(b"Content-Transfer-Encoding: ", b"base64\n", b"quoted-printable\n", b"x-uuencode\n"),
        *(b"Content-Disposition: attachment; filename=", b"Content-ID: <c>\n", b"cid:c", b"<meta charset=utf-7>"),
        *(b"\nbegin 644 x\n", b"#0V%T\n", b"end\n", b"\x78\x9f\x3e\x22\x01\x00", b"\x02\x02\x90\x06\x00\0\0\0\0\0\0"),
    ]
)
RAW = st.binary(max_size=300) | st.lists(TOKENS | st.binary(max_size=4), max_size=60).map(b"".join)


def strings(parsed: ParsedMessage) -> list[str]:
    out = [parsed.message_id, parsed.subject, parsed.from_name, parsed.from_email, parsed.in_reply_to]
    out += [parsed.body_text, parsed.body_html, *parsed.defects]
    out += [*parsed.to_emails, *parsed.cc_emails, *parsed.reply_to, *parsed.references]
    out += [*parsed.to_names, *parsed.cc_names]
    assert len(parsed.to_names) == len(parsed.to_emails)
    assert len(parsed.cc_names) == len(parsed.cc_emails)
    out += [text for field in parsed.headers for text in field]
    for attachment in parsed.attachments:
        out += [attachment.part_id, attachment.filename, attachment.content_type, attachment.content_id]
    return out


@pytest.mark.invariant("I5")
@settings(max_examples=1500)
@given(RAW)
def test_any_bytes_become_a_message_that_can_be_stored(raw: bytes) -> None:
    parsed = parse(raw)
    for text in strings(parsed):
        assert type(text) is str
        assert "\0" not in text
        text.encode()
    assert all(type(attachment.content) is bytes for attachment in parsed.attachments)
    assert len(set(parsed.defects)) == len(parsed.defects)
    assert parsed.sent_at is None or parsed.sent_at.utcoffset() == timedelta(0)
    assert parsed == parse(raw)


@given(RAW)
def test_the_attachments_of_any_message_have_different_paths(raw: bytes) -> None:
    attachments = parse(raw).attachments
    paths = {str(attachment_path(IDENTITY, NOW, a.part_id, a.filename)).casefold() for a in attachments}
    assert len(paths) == len(attachments)


@given(RAW)
def test_an_attached_message_of_any_bytes_is_kept_exactly(inner: bytes) -> None:
    head = b'Content-Type: multipart/mixed; boundary="=_out"\r\n\r\n--=_out\r\nContent-Type: message/rfc822\r\n\r\n'
    parsed = parse(head + inner + b"\r\n--=_out--\r\n")
    assert [a.content for a in parsed.attachments] == [inner]


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=200)
# Short ones: the standard library loses a blank where it folds between two encoded words.
SUBJECTS = st.lists(st.text(st.characters(exclude_categories=["C", "Z", "M"]), min_size=1, max_size=5), max_size=2)
WORDS = st.lists(
    st.text(st.characters(exclude_categories=["C", "Z", "M"]), min_size=1, max_size=30), min_size=1, max_size=12
).map(" ".join)
TYPES = st.sampled_from([("application", "pdf"), ("image", "png"), ("text", "csv"), ("application", "octet-stream")])
CONTENT = st.binary(max_size=400).filter(lambda content: not content.startswith(b"\x78\x9f"))  # not TNEF
ATTACHED = st.tuples(CONTENT, TYPES, WORDS)


@settings(max_examples=100)
@given(
    subject=SUBJECTS.map(" ".join),
    text=TEXT,
    html=st.none() | TEXT,
    attached=st.lists(ATTACHED, max_size=4),
    policy=st.sampled_from([SMTP, SMTPUTF8]),
    lf=st.booleans(),
)
def test_what_the_standard_library_writes_comes_back_whole(
    subject: str,
    text: str,
    html: str | None,
    attached: list[tuple[bytes, tuple[str, str], str]],
    policy: type[SMTP],
    lf: bool,
) -> None:
    made = EmailMessage(policy=policy)
    made["Subject"] = subject
    made["From"] = "Jürgen Müller <j@example.com>"
    made["To"] = "a@example.org, B <b@example.org>"
    made["Date"] = NOW
    made["Message-ID"] = "<1@example.com>"
    made.set_content(text)
    if html is not None:
        made.add_alternative(html, subtype="html")
    for content, (maintype, subtype), name in attached:
        made.add_attachment(content, maintype=maintype, subtype=subtype, filename=name)
    raw = made.as_bytes()
    if lf:
        raw = raw.replace(b"\r\n", b"\n")
    parsed = parse(raw)
    assert parsed.subject == subject
    assert (parsed.from_name, parsed.from_email) == ("Jürgen Müller", "j@example.com")
    assert parsed.to_emails == ("a@example.org", "b@example.org")
    assert (parsed.sent_at, parsed.message_id) == (NOW, "<1@example.com>")
    assert parsed.body_text.strip("\r\n") == ("" if text.isspace() else text)
    assert parsed.body_html.strip("\r\n") == ("" if html is None or html.isspace() else html)
    assert [(a.filename, a.content_type, a.content) for a in parsed.attachments] == [
        (name, "/".join(kind), content) for content, kind, name in attached
    ]
    assert parsed.defects == ()
