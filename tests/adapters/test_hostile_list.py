"""LIST that lies, is refused, or cannot be read: no mailbox is gone because one answer lacks it."""

from __future__ import annotations

import pytest

from mailcore.events.thin import Expunged, MailboxCreated, MailboxDeleted
from tests.support.hostile_imap import HostileImap, Refused, Session, mail
from tests.support.pipeline import Mirror, Pipeline

pytestmark = pytest.mark.trio
ALWAYS = 1 << 30
PLAIN = "IMAP4rev1 IDLE UNSELECT"
INBOX = '* LIST () "/" INBOX'


class TwoMailboxes(HostileImap):
    """INBOX and Box, of which the next `lies` LISTs tell only what `told` says; STATUS of Box is answered `denied`."""

    names = ("INBOX", "BOX")
    lies = 0
    told: tuple[str, ...] = (INBOX,)
    denied = ""
    denials = 0

    def listed(self, session: Session, rest: str) -> list[str]:
        if not self.lies:
            return super().listed(session, rest)
        self.lies -= 1
        return list(self.told)

    def status(self, session: Session, items: str) -> list[str]:
        if self.denied and "BOX" in items.upper().replace("INBOX", ""):
            self.denials += 1
            raise Refused(self.denied)
        return super().status(session, items)


def rows(pipeline: Pipeline) -> int:
    return len(pipeline.uids())


def nothing_gone(pipeline: Pipeline) -> bool:
    return not pipeline.expunged() and not [one for one in pipeline.thin if isinstance(one, Expunged | MailboxDeleted)]


@pytest.mark.invariant("I3")
@pytest.mark.parametrize("lies", [1, ALWAYS], ids=["once", "always"])
@pytest.mark.parametrize(
    "told",
    [
        ('* LIST () "/" INBOX',),
        (),
        ("* LIST nonsense", '* LIST () "/" INBOX'),
        ('* LIST (\\Noselect) "/" BOX', '* LIST () "/" INBOX'),
    ],
    ids=["half", "nothing", "unreadable", "not selectable"],
)
async def test_a_list_that_lacks_a_mailbox_which_status_knows_expunges_nothing(
    mirror: Mirror, told: tuple[str, ...], lies: int
) -> None:
    server = TwoMailboxes(mail(1), mail(2))
    server.told = told
    async with mirror(server, mailboxes=("*",), sync_interval=0.5) as pipeline:
        await pipeline.until(lambda: rows(pipeline) == 4, "all stored")
        server.lies = lies
        before = len(server.asked("LIST"))
        await pipeline.until(lambda: len(server.asked("LIST")) > before + 5, "asked again and again", 20)
        assert nothing_gone(pipeline)
        server.lies = 0
        server.add(mail(3))
        await pipeline.until(lambda: rows(pipeline) == 6, "what comes is stored")


@pytest.mark.parametrize("denied", ["NO [UNAVAILABLE] not now", "NO [SERVERBUG] oops", "BAD what", "NO [NOPERM] no"])
async def test_a_refusal_that_is_no_denial_expunges_nothing(mirror: Mirror, denied: str) -> None:
    server = TwoMailboxes(mail(1), mail(2))
    async with mirror(server, mailboxes=("*",), sync_interval=0.5) as pipeline:
        await pipeline.until(lambda: rows(pipeline) == 4, "all stored")
        server.denied, server.lies = denied, ALWAYS
        await pipeline.until(lambda: server.denials > 0, "STATUS is asked and denied", 20)
        await pipeline.stays(lambda: nothing_gone(pipeline), "nothing is gone", 1)


async def test_two_lists_and_a_denial_are_a_deletion(mirror: Mirror) -> None:
    server = TwoMailboxes(mail(1), mail(2))
    async with mirror(server, mailboxes=("*",), sync_interval=0.5) as pipeline:
        await pipeline.until(lambda: rows(pipeline) == 4, "all stored")
        server.denied, server.lies = "NO [NONEXISTENT] no such mailbox", ALWAYS
        await pipeline.until(lambda: rows(pipeline) == 2, "its rows are expunged")
        await pipeline.until(
            lambda: [one.mailbox for one in pipeline.thin if isinstance(one, MailboxDeleted)] == ["BOX"], "told once"
        )


@pytest.mark.parametrize(
    "capabilities", ["IMAP4rev1 IDLE UNSELECT", "IMAP4rev1 IDLE UNSELECT LIST-STATUS LIST-EXTENDED"]
)
async def test_a_refused_list_is_told_and_holds_up_no_mailbox_that_is_known(mirror: Mirror, capabilities: str) -> None:
    class Refusing(TwoMailboxes):
        def listed(self, session: Session, rest: str) -> list[str]:
            if self.lies:
                raise Refused("NO [CANNOT] no LIST today")
            return super().listed(session, rest)

    server = Refusing(mail(1), mail(2))
    server.capabilities = capabilities
    async with mirror(server, mailboxes=("*",), sync_interval=0.5) as pipeline:
        await pipeline.until(lambda: rows(pipeline) == 4, "all stored")
        server.lies = ALWAYS
        server.add(mail(3))
        await pipeline.until(lambda: rows(pipeline) == 6, "what comes is stored")
        run = await pipeline.sync(within=5)
        assert run.status == "partial"
        assert "no LIST today" in "".join(one.error for one in run.results)


async def test_where_list_with_status_is_offered_and_refused_it_is_asked_without(mirror: Mirror) -> None:
    class Offering(TwoMailboxes):
        def listed(self, session: Session, rest: str) -> list[str]:
            if "STATUS" in rest:
                raise Refused("BAD no such thing")
            return super().listed(session, rest)

    server = Offering(mail(1))
    server.capabilities = "IMAP4rev1 IDLE UNSELECT LIST-STATUS LIST-EXTENDED"
    async with mirror(server, mailboxes=("*",)) as pipeline:
        await pipeline.until(lambda: rows(pipeline) == 2, "all stored")


async def test_a_mailbox_that_is_asked_for_and_never_was_is_not_deleted_but_created(mirror: Mirror) -> None:
    server = HostileImap(count=1)
    asked_for = {"mailboxes": ("INBOX", "BOX"), "sync_interval": 0.5}
    async with mirror(server, **asked_for) as pipeline:
        await pipeline.until(
            lambda: pipeline.rows("SELECT 1 FROM mailbox_app_mailboxstate WHERE mailbox = 'BOX'"), "a row"
        )
    async with mirror(server, **asked_for) as pipeline:
        await pipeline.until(lambda: len(server.asked("STATUS")) > 4, "looked for again", 20)
        server.names = ("INBOX", "BOX")
        await pipeline.until(lambda: rows(pipeline) == 2, "found when it is made")
        await pipeline.hears(
            lambda: [
                (type(one), one.mailbox) for one in pipeline.thin if isinstance(one, MailboxCreated | MailboxDeleted)
            ],
            [(MailboxCreated, "BOX")],
        )
