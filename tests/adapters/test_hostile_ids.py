"""What a server calls a message in all its mailboxes, its thread, and Gmail's labels: asked for with all else."""

from __future__ import annotations

import json

import pytest

from mailcore.events.thin import Stored
from tests.support.hostile_imap import CAPABILITIES, HostileImap, mail
from tests.support.pipeline import Mirror

pytestmark = pytest.mark.trio


class Gmail(HostileImap):
    capabilities = f"{CAPABILITIES} X-GM-EXT-1"
    labels = b"()"

    def facts(self, uid: int, items: str) -> list[bytes]:
        found = super().facts(uid, items)
        if "X-GM-MSGID" in items:
            assert "X-GM-THRID X-GM-LABELS" in items
            found[1:1] = [b"X-GM-THRID 1266894439832287888", b"X-GM-MSGID %d" % (1278455344230334864 + uid)]
            found.append(b"X-GM-LABELS " + self.labels)
        return found


async def test_gmails_ids_and_labels_come_in_the_same_round_trip_and_are_stored_and_told(mirror: Mirror) -> None:
    server = Gmail(mail(1))
    server.labels = rb'("\\Inbox" Work "Z&APw-rich")'
    async with mirror(server) as pipeline:
        await pipeline.stored(1)
        await pipeline.idling()
        server.deliver(mail(2))
        await pipeline.stored(1, 2)
        for row in pipeline.messages():
            assert row["email_id"] == str(1278455344230334864 + row["uid"])
            assert row["thread_id"] == "1266894439832287888"
            assert json.loads(row["labels"]) == ["\\Inbox", "Work", "Zürich"]

        def told() -> list[tuple[str | None, tuple[str, ...] | None]]:
            return [(one.email_id, one.labels) for one in pipeline.thin if isinstance(one, Stored) and one.uid == 2]

        await pipeline.hears(told, [("1278455344230334866", ("\\Inbox", "Work", "Zürich"))])
    bodies = server.asked("UID FETCH", body=True)
    assert all("X-GM-MSGID X-GM-THRID X-GM-LABELS" in one.rest for one in bodies)
    assert not server.asked("UID FETCH", since=bodies[-1].at + 0.001)


@pytest.mark.parametrize("labels", [b"NIL", b"()", b"Work", b'((a) "b")'])
async def test_labels_that_are_no_list_of_names_cost_no_mail(mirror: Mirror, labels: bytes) -> None:
    server = Gmail(mail(1))
    server.labels = labels
    async with mirror(server) as pipeline:
        await pipeline.stored(1)
        assert pipeline.messages()[0]["email_id"] == "1278455344230334865"


async def test_ids_of_rfc_8474_are_asked_for_where_they_are_offered(mirror: Mirror) -> None:
    class ObjectIds(HostileImap):
        capabilities = f"{CAPABILITIES} OBJECTID"

        def facts(self, uid: int, items: str) -> list[bytes]:
            more = [b"EMAILID (M%d)" % uid, b"THREADID NIL"] if "EMAILID THREADID" in items else []
            return [*super().facts(uid, items), *more]

    async with mirror(ObjectIds(mail(1))) as pipeline:
        await pipeline.stored(1)
        row = pipeline.messages()[0]
        assert (row["email_id"], row["thread_id"], row["labels"]) == ("M1", None, None)


async def test_where_nothing_is_offered_nothing_is_asked_for(mirror: Mirror) -> None:
    server = HostileImap(mail(1))
    async with mirror(server) as pipeline:
        await pipeline.stored(1)
        row = pipeline.messages()[0]
        assert (row["email_id"], row["thread_id"], row["labels"]) == (None, None, None)
    assert not any("EMAILID" in one.rest or "X-GM" in one.rest for one in server.asked())
