"""What a server makes up is told from what it was sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore.imap.placeholder import SMALL, may_be_placeholder, retrieval_failed

COURIER = (
    b"From: System Administrator <root@localhost>\r\nSubject: message unavailable\r\n\r\n"
    b"This message is no longer available on the server.\r\n"
)
EXCHANGE = (
    b'MIME-Version: 1.0\r\nContent-Type: text/plain; charset="us-ascii"\r\nFrom: Microsoft Exchange Server 2010\r\n'
    b"To: Anna <anna@example.com>\r\nSubject: Retrieval using the IMAP4 protocol failed for the following\r\n"
    b" message: 20004\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b'The server couldn\'t retrieve the following message:\r\n\r\nSubject: "Canceled: Lunch"\r\n'
)
SHORT = b"From: anna@example.com\r\nSubject: lunch\r\n\r\nAt noon?\r\n"


@pytest.mark.parametrize(
    ("body", "announced"),
    [
        (COURIER, None),
        (COURIER, len(COURIER)),
        (COURIER.replace(b"\r\n", b"\n"), len(COURIER)),
        (EXCHANGE, len(EXCHANGE)),
        (b"Subject: x\r\n\r\nThe message could not be retrieved.\r\n", None),
        (b"Subject: x\r\n\r\nUnable to open message file.\r\n", None),
        (b"Subject: x\r\n\r\nThis item has been deleted.\r\n", None),
        (SHORT, len(SHORT) + 1),
        (b"", 190),
    ],
)
def test_what_may_be_made_up_is_worth_a_question(body: bytes, announced: int | None) -> None:
    assert may_be_placeholder(body, announced)


@pytest.mark.parametrize(
    ("body", "announced"),
    [
        (SHORT, len(SHORT)),
        (SHORT, None),
        (b"", 0),
        (b"", None),
        (COURIER + b"x" * SMALL, None),
        (SHORT + b"x" * SMALL, len(SHORT)),
    ],
)
def test_what_is_large_or_as_long_as_announced_and_speaks_of_something_else_is_believed(
    body: bytes, announced: int | None
) -> None:
    assert not may_be_placeholder(body, announced)


def test_exchanges_report_is_known_with_its_words() -> None:
    assert retrieval_failed(EXCHANGE) == "Retrieval using the IMAP4 protocol failed for the following message: 20004"
    assert retrieval_failed(EXCHANGE.replace(b"\r\n", b"\n")) == retrieval_failed(EXCHANGE)


@pytest.mark.parametrize(
    "mail",
    [
        SHORT,
        COURIER,
        b"Received: from mx.example.com\r\n" + EXCHANGE,
        b"Message-ID: <1@example.com>\r\n" + EXCHANGE,
        EXCHANGE.replace(b"Microsoft Exchange Server 2010", b"Anna"),
        SHORT + EXCHANGE,
        EXCHANGE + b"x" * 20_000,
    ],
)
def test_a_mail_about_such_a_report_is_a_mail(mail: bytes) -> None:
    assert retrieval_failed(mail) is None


@given(st.binary(max_size=300), st.none() | st.integers(0, 300))
def test_any_bytes_have_an_answer(body: bytes, announced: int | None) -> None:
    assert isinstance(may_be_placeholder(body, announced), bool)
    assert retrieval_failed(body) is None


@given(st.data())
def test_a_report_is_known_whatever_the_case_of_its_letters(data: st.DataObject) -> None:
    said = "".join(data.draw(st.sampled_from((each.lower(), each.upper()))) for each in EXCHANGE.decode()[:260])
    assert retrieval_failed(said.encode() + EXCHANGE[260:])
