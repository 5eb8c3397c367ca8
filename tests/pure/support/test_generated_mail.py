"""Generated mail is what the tests that use it believe: read by somebody else's parser."""

from __future__ import annotations

import email
import email.message
import email.policy
import hashlib

from tests.support.mail import SentFile, make_mail, make_mailbox


def test_generated_mail_has_the_subject_and_the_attachments_that_it_says() -> None:
    mail = make_mail(7, files=(100_000, 5, 6_000_000))
    message = email.message_from_bytes(mail.raw, policy=email.policy.default)
    assert isinstance(message, email.message.EmailMessage)

    found = []
    for part in message.iter_attachments():
        content = part.get_content()
        assert isinstance(content, bytes)
        found.append(SentFile(part.get_filename() or "", len(content), hashlib.sha256(content).hexdigest()))

    assert tuple(found) == mail.files
    assert message["subject"] == mail.subject
    assert message["message-id"] == mail.message_id


def test_generated_mail_is_the_same_for_the_same_number_and_differs_for_another() -> None:
    assert make_mail(3, files=(9,)) == make_mail(3, files=(9,))
    assert make_mail(3, files=(9,)).files[0].sha256 != make_mail(4, files=(9,)).files[0].sha256


def test_a_generated_mailbox_has_the_average_size_that_was_asked_for() -> None:
    sizes = [len(mail.raw) for mail in make_mailbox(1_000, average=75_000)]

    assert 60_000 < sum(sizes) / len(sizes) < 90_000
    assert sorted(sizes)[500] < 20_000, "most messages are short"


def test_generated_mail_has_crlf_line_ends_only_so_that_a_server_gives_back_the_same_bytes() -> None:
    raw = make_mail(5, files=(1_000,)).raw

    assert raw.replace(b"\r\n", b"").find(b"\r") == -1
    assert raw.replace(b"\r\n", b"").find(b"\n") == -1
