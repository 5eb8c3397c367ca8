"""INTERNALDATE that is no date: not 1970 but the Date field's or the time of fetching, and a defect that says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.hostile_imap import HostileImap, mail
from tests.support.pipeline import Mirror, Pipeline

pytestmark = pytest.mark.trio


class Dated(HostileImap):
    """`date` is what stands behind INTERNALDATE; empty: nothing does."""

    date = b""

    def facts(self, uid: int, items: str) -> list[bytes]:
        said = [fact for fact in super().facts(uid, items) if not fact.startswith(b"INTERNALDATE")]
        return [*said, b"INTERNALDATE " + self.date] if self.date and "INTERNALDATE" in items else said


def defective(pipeline: Pipeline) -> list[int]:
    return [row["uid"] for row in pipeline.messages() if "internaldate-invalid" in row["defects"]]


@pytest.mark.parametrize(
    "date",
    [
        b'"00-Jan-0000 00:00:00 +0000"',
        b'"31-Feb-2026 00:00:00 +0000"',
        b'"03-Feb-26 09:00:00"',
        b'""',
        b"NIL",
        b'"Invalid Date"',
    ],
    ids=lambda date: date.decode().strip('"') or "empty",
)
async def test_what_is_no_date_gives_way_to_the_date_field(mirror: Mirror, date: bytes) -> None:
    server = Dated(mail(1), mail(2), b"Subject: mail 3\r\n\r\nno Date field\r\n")
    server.date = date
    began = datetime.now(UTC)
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 3)
        received = {row["uid"]: datetime.fromisoformat(row["received_at"] + "+00:00") for row in pipeline.messages()}
        assert received[1] == received[2] == datetime(2026, 2, 3, 9, 0, tzinfo=UTC), "the Date field's"
        assert began - timedelta(seconds=1) <= received[3] <= datetime.now(UTC) + timedelta(seconds=1), "or now"
        assert defective(pipeline) == [1, 2, 3]


async def test_a_date_in_the_form_of_rfc_5322_is_read(mirror: Mirror) -> None:
    server = Dated(count=2)
    server.date = b'"Mon, 2 Feb 2026 07:30:00 +0100"'
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2)
        assert {row["received_at"][:10] for row in pipeline.messages()} <= {"2026-02-02", "2026-02-03"}
        assert not [row for row in pipeline.messages() if row["received_at"] < "2026"]


async def test_a_date_that_is_left_out_gives_way_to_the_date_field(mirror: Mirror) -> None:
    server = Dated(count=2)
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2)
        assert {row["received_at"][:19] for row in pipeline.messages()} == {"2026-02-03 09:00:00"}


async def test_a_right_date_is_no_defect(mirror: Mirror) -> None:
    server = Dated(count=2)
    server.date = b'" 3-Feb-2026 12:00:00 +0300"'
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2)
        assert {row["received_at"][:19] for row in pipeline.messages()} == {"2026-02-03 09:00:00"}
        assert not defective(pipeline)


async def test_a_large_mail_without_a_date_has_its_date_field_s(mirror: Mirror) -> None:
    server = Dated(mail(1, 9 << 20))
    server.date = b'"00-Jan-0000 00:00:00 +0000"'
    async with mirror(server) as pipeline:
        await pipeline.stored(1)
        assert pipeline.messages()[0]["received_at"] > "2026"
        assert defective(pipeline) == [1]
