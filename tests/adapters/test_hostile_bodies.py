"""What is listed and not given: no empty row, no silence about it, and another try after a minute, not at once."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from tests.support.hostile_imap import HostileImap, Session, mail
from tests.support.pipeline import Mirror, Pipeline

pytestmark = [pytest.mark.trio, pytest.mark.timeout(240)]
PLACEHOLDER = (
    b'From: "MAIL SERVER" <>\r\nSubject: Message unavailable\r\n\r\nThis message is no longer available on the server.'
)


class Withholding(HostileImap):
    """UID 3 is answered in the way of `kind`, the first `wrong` times that its body is asked for."""

    kind = ""
    wrong = 1 << 30

    def give(self, session: Session, number: int, uid: int, items: str) -> list[bytes]:
        if uid != 3 or "BODY" not in items or not self.wrong:
            return super().give(session, number, uid, items)
        self.wrong -= 1
        head, facts, tail = b"* %d FETCH (" % number, b" ".join(self.facts(uid, items)), b")"
        whole = b" ".join((facts, *self.body(uid, items)))
        answers = {
            "empty string": [head + facts + b' BODY[]<0> ""' + tail],
            "empty literal": [head + facts + b" BODY[]<0> {0}\r\n" + tail],
            "NIL": [head + facts + b" BODY[]<0> NIL" + tail],
            "no body": [head + facts + tail],
            "nothing": [],
            "another UID": [head + whole.replace(b"UID 3 ", b"UID 77 ", 1) + tail],
            "no UID": [head + whole.replace(b"UID 3 ", b"", 1) + tail],
            "another size": [head + whole.replace(b"RFC822.SIZE ", b"RFC822.SIZE 9", 1) + tail],
            "no size": [head + b" ".join((b"UID 3 FLAGS ()", *self.body(uid, items))) + tail],
            "two responses": [head + b"UID 3 " + b" ".join(self.body(uid, items)) + tail, head + facts + tail],
            "twice": [head + whole + tail, head + whole + tail],
        }
        return answers[self.kind]


def withholding(kind: str, wrong: int = 1 << 30) -> Withholding:
    server = Withholding(count=5)
    server.kind, server.wrong = kind, wrong
    return server


async def right(pipeline: Pipeline, server: HostileImap) -> None:
    """Each present row is what the server holds under its UID."""
    for row in pipeline.messages():
        assert (row["uid"], row["subject"], row["size"]) == (
            row["uid"],
            f"mail {row['uid']}",
            len(server.mails[row["uid"]]),
        )


@pytest.mark.parametrize(
    "kind",
    ["empty string", "empty literal", "NIL", "no body", "nothing", "another UID", "no UID"],
)
async def test_what_is_not_given_is_told_of_and_waits_for_its_minute(mirror: Mirror, kind: str) -> None:
    server = withholding(kind)
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 4, 5)
        await pipeline.told(3)
        await right(pipeline, server)
        wait = (datetime.fromisoformat(pipeline.refused()[3]["next_try"]) - datetime.now(UTC)).total_seconds()
        assert 20 <= wait <= 300
        began = time.monotonic()
        server.deliver(mail(6))
        await pipeline.stored(1, 2, 4, 5, 6, within=5)
        await pipeline.stays(
            lambda: not [one for one in server.asked(since=began, body=True) if 3 in one.uids], "not asked again", 4
        )
        assert pipeline.uids() == [1, 2, 4, 5, 6]
        assert len(pipeline.log.warnings('"uid": 3')) <= 2, "said once"


async def test_an_empty_body_is_taken_for_none_and_a_mail_without_bytes_for_one(mirror: Mirror) -> None:
    server = withholding("empty string", wrong=1)
    server.add(b"")
    async with mirror(server) as pipeline:
        await pipeline.until(lambda: 6 in pipeline.uids(), "the mail of no bytes has a row")
        assert [row["size"] for row in pipeline.messages() if row["uid"] == 6] == [0]
        assert all(row["size"] for row in pipeline.messages() if row["uid"] != 6)


async def test_what_was_not_given_once_is_stored_with_its_true_body_after_its_pause(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailcore.sync.mailbox.REFUSED_FIRST", 8.0)
    server = withholding("empty string", wrong=1)
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 4, 5)
        await pipeline.stored(1, 2, 3, 4, 5, within=30)
        await right(pipeline, server)
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")


async def test_a_run_over_what_is_not_given_ends_and_says_so(mirror: Mirror) -> None:
    server = withholding("nothing")
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 4, 5)
        run = await pipeline.sync(within=10)
        assert run.status in ("failed", "partial")
        assert "3" in run.results[0].error


@pytest.mark.parametrize("kind", ["another size", "no size"])
async def test_bytes_are_right_though_the_size_is_wrong_and_a_defect_says_so(mirror: Mirror, kind: str) -> None:
    """Exchange estimates RFC822.SIZE; no size at all says nothing of the bytes."""
    server = withholding(kind)
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 3, 4, 5)
        await right(pipeline, server)
        defects = {row["uid"]: row["defects"] for row in pipeline.messages()}
        assert ("size-differs" in defects[3]) == (kind == "another size")
        assert not [uid for uid in (1, 2, 4, 5) if "size-differs" in defects[uid]]
        await pipeline.until(lambda: pipeline.status() == "ok", "all is well")


@pytest.mark.parametrize("kind", ["two responses", "twice"])
async def test_one_mail_in_two_responses_is_one_row_with_its_date(mirror: Mirror, kind: str) -> None:
    server = withholding(kind)
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 3, 4, 5)
        await right(pipeline, server)
        assert {row["received_at"][:19] for row in pipeline.messages()} == {"2026-02-03 09:00:00"}
        await pipeline.announces(5)


async def test_a_placeholder_for_what_is_expunged_is_not_announced_as_mail(mirror: Mirror) -> None:
    """Courier gives "message unavailable" under a UID that the next SEARCH lacks."""

    class Courier(HostileImap):
        def fetch(self, session: Session, uids: list[int], items: str) -> None:
            if "BODY" in items and 3 in uids and 3 not in self.gone:
                self.gone.add(3)

        def search(self, session: Session, criteria: str) -> list[int]:
            return [uid for uid in super().search(session, criteria) if uid not in self.gone]

        def select(self, session: Session) -> list[str]:
            lines = super().select(session)
            return [
                line.replace(f"{len(self.mails)} EXISTS", f"{len(self.mails) - len(self.gone)} EXISTS")
                for line in lines
            ]

        def text(self, uid: int) -> bytes:
            return PLACEHOLDER if uid in self.gone else self.mails[uid]

        gone: set[int]

    server = Courier(count=5)
    server.gone = set()
    async with mirror(server) as pipeline:
        await pipeline.stored(1, 2, 4, 5)
        await pipeline.stays(lambda: pipeline.uids() == [1, 2, 4, 5], "no such row", 2)
        assert "Message unavailable" not in pipeline.subjects()
        await pipeline.announces(4)


async def test_a_body_that_ends_before_its_literal_does_is_no_body(mirror: Mirror) -> None:
    """What is missing of the literal is taken from the line that ends the command, which so never comes."""

    class Short(HostileImap):
        def give(self, session: Session, number: int, uid: int, items: str) -> list[bytes]:
            answer = super().give(session, number, uid, items)
            if uid != 5 or "BODY" not in items:
                return answer
            size = len(self.mails[5])
            return [line.replace(b"{%d}" % size, b"{%d}" % (size + 400)) for line in answer]

    server = Short(count=5)
    async with mirror(server, command_timeout=1.0) as pipeline:
        await pipeline.stored(1, 2, 3, 4, within=75)
        await pipeline.told(5, within=75)
        await right(pipeline, server)
