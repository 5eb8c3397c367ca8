"""The machine's properties, whatever the order of events; and eleven rules that are missed when they are gone.

What takes rarer orders to be noticed has a test by itself in test_mailbox.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from mailcore.imap.sequence import UidSet
from mailcore.sync.listing import Listing
from mailcore.sync.mailbox import Fetch, Known, Mailbox, Sweep
from mailcore.sync.statuses import InFlight, Refusal, Status
from tests.support.mailbox_machine import World


@pytest.mark.invariant("I2")
@pytest.mark.invariant("I3")
@pytest.mark.invariant("I9")
def test_whatever_happens_in_whatever_order_nothing_is_lost_falsely_expunged_or_stuck() -> None:
    run_state_machine_as_test(World, settings=settings(max_examples=400, stateful_step_count=50, deadline=None))


class BelievesAContradiction(Mailbox):
    def compare(self, known: Known, found: Listing, now: float) -> UidSet:
        return super().compare(known, replace(found, exists=len(found.uids), messages=None), now)


class BelievesOneConnectionThatManyAreGone(Mailbox):
    def _gone_for_certain(self, gone: UidSet, of: int, connection: object) -> UidSet:
        return gone


class AsksForACulpritAtOnce(Mailbox):
    def _refusal(self, uid: int, words: str, now: float) -> Refusal:
        return replace(super()._refusal(uid, words, now), next_try=now)


class FetchesInAPause(Mailbox):
    def claim(self, now: float, count: int) -> Fetch | None:
        self._fetch_not_before = 0.0
        return super().claim(now, count)


class SweepsInAPause(Mailbox):
    def sweep_failed(self, sweep: Sweep, words: str, now: float, wait: float) -> None:
        super().sweep_failed(sweep, words, now, 0.0)


class NeverGivesUpARun(Mailbox):
    def tick(self, now: float) -> None:
        pass


class EndsARunThatHasNotSwept(Mailbox):
    def ask(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        run = super().ask(*args, **kwargs)  # type: ignore[arg-type]
        run.swept = True
        return run


class TakesWhatIsInTheStreamForLost(Mailbox):
    def looked_up(self, overdue: Mapping[int, InFlight], stored: object, now: float, streams: object) -> UidSet:  # type: ignore[override]
        return UidSet(uid for uid in overdue if uid in self.uids.in_flight)


class CountsAClaimAsInFlight(Mailbox):
    def claim(self, now: float, count: int) -> Fetch | None:
        wish = super().claim(now, count)
        for uid in wish.uids if wish is not None else ():
            self.uids.move(uid, Status.IN_FLIGHT, InFlight("MAIL", 1, 1, now))
        return wish


class SaysOkWhileSomethingIsRefused(Mailbox):
    def state(self) -> tuple[str, str]:
        status, words = super().state()
        return (status, words) if self.failure or self.doubt else ("ok", "")


class TakesAPushedMessageTwice(Mailbox):
    def claim_pushed(self, uidvalidity: int, uid: int) -> bool:
        if self.uids.of(uid) in (Status.IN_FLIGHT, Status.STORED):
            return True
        return super().claim_pushed(uidvalidity, uid)


FAULTS = [
    BelievesAContradiction,
    BelievesOneConnectionThatManyAreGone,
    AsksForACulpritAtOnce,
    FetchesInAPause,
    SweepsInAPause,
    NeverGivesUpARun,
    EndsARunThatHasNotSwept,
    TakesWhatIsInTheStreamForLost,
    CountsAClaimAsInFlight,
    SaysOkWhileSomethingIsRefused,
    TakesAPushedMessageTwice,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_found(fault: type[Mailbox]) -> None:
    class Faulty(World):
        make = fault

    once = settings(
        max_examples=1_500,  # until one finds it
        stateful_step_count=50,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises((AssertionError, KeyError)):
        run_state_machine_as_test(Faulty, settings=once)
