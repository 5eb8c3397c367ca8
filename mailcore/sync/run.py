"""One sync run over one mailbox: counters over what it found."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailcore.events.control import MailboxResult
from mailcore.events.message import FoundBy
from mailcore.imap.sequence import UidSet


@dataclass(slots=True)
class Run:
    """`left` of the UIDs `found` are not settled yet. It waits for the sweep number `needs`. `moved` is when something
    last happened to it (monotonic seconds); `asked`: by a person, perhaps after it began."""

    run_id: str
    found_by: FoundBy
    began: float
    moved: float
    needs: int
    asked: bool = False
    found: UidSet = field(default_factory=UidSet)
    left: int = 0
    expunged: int = 0
    swept: bool = False
    error: str = ""
    result: MailboxResult | None = None

    @property
    def ended(self) -> bool:
        return self.result is not None

    def add(self, settled: UidSet, unsettled: UidSet) -> None:
        self.left += len(unsettled - self.found)
        self.found |= settled | unsettled

    def count(self, uid: int, change: int) -> None:
        """`uid` is settled (-1), or is so no more (1)."""
        if uid in self.found:
            self.left += change

    def begin_again(self) -> None:
        """The generation that it was about has ended."""
        self.found, self.left, self.swept = UidSet(), 0, False
