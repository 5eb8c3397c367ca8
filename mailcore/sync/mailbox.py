"""One mailbox as a machine: what happened goes in, what is to be done comes out. Pure: the clock is an argument.

1. What a sweep lists is believed at once, since it only adds. What it does not list is gone only when the sweep is
   whole: as many UIDs as EXISTS tells, and nothing else of the same sweep contradicts. Many at once are gone only when
   two whole sweeps on two connections agree.
2. A FETCH that fails is halved until the culprit stands alone. A culprit is refused: asked for again after 1, 2, 4 …
   minutes, and never again in company.
3. Nothing is asked for sooner than the server allowed, and older mail not before it is due.
4. Each run ends: with what it found settled, or with words that say what holds it up.

Times are monotonic seconds, sizes bytes. What happens to UIDs names their UIDVALIDITY, and is passed over when that is
the present one no more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Final

from mailcore.events.control import MailboxResult
from mailcore.events.identity import Identity, MailboxKey
from mailcore.events.message import FoundBy
from mailcore.imap.sequence import MAX_UID, UidSet
from mailcore.sync.generation import Birth, OldGenerations, OldPlace
from mailcore.sync.listing import Listing, Snapshot, contradiction, unchanged
from mailcore.sync.run import Run
from mailcore.sync.statuses import InFlight, Octets, Refusal, Standing, Status, Statuses

FULL_EVERY: Final = 10  # sweeps; the others ask for the counters alone when those say that nothing changed
GAP: Final = 1.0  # between two sweeps that nobody but ourselves asks for
PUSH_GAP: Final = 0.1  # between two that the server asks for
LONGEST_DOUBT: Final = 60.0  # seconds between two sweeps that are not whole
TOLD_AFTER: Final = 3  # sweeps in a row that are not whole, until a run ends with the reason
MANY: Final = 10  # messages, and a tenth of the mailbox
REFUSED_FIRST: Final = 60.0
REFUSED_LONGEST: Final = 86400.0
BARREN: Final = 6  # FETCHes in a row that gave nothing, until the mailbox is left alone
HOLD_FIRST: Final = 60.0
HOLD_LONGEST: Final = 900.0
PUSH_GRACE: Final = 2.0  # seconds that IDLE may need to announce what a sweep has found
LATE: Final = 120.0  # seconds after the start of a generation in which what was in flight before may be stored
PATIENCE: Final = 120.0  # seconds without progress that a run waits
STALLED: Final = 20.0  # the same, where it is known what keeps mail from being stored


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep that has begun, the how-manieth of this mailbox. `full`: the counters are not enough."""

    number: int
    full: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What was known before the server was asked for its list: what is stored or listed while the answer travels must
    not be taken for gone."""

    stored: UidSet
    waiting: UidSet


@dataclass(frozen=True, slots=True)
class Fetch:
    """The wish to fetch these claimed UIDs; `apart`: by a FETCH that is alone on its connection."""

    uids: UidSet
    apart: bool = False


class Mailbox:
    """Not thread-safe; all calls come from the event loop's thread."""

    def __init__(self, key: MailboxKey, octets: Octets, interval: float) -> None:
        self.key = key
        self.interval = interval
        self.row_id = 0
        self.uidvalidity = 0  # none is open yet
        self.birth: Birth | None = None
        self.old = OldGenerations()
        self.uids = Statuses(octets)
        self.highest = 0
        self.listed: UidSet | None = None  # by the last whole sweep
        self.run: Run | None = None
        self.ended: list[Run] = []  # for the edge to tell of and clear
        self.failure = ""  # of the last sweep, if it failed
        self.attempts = 0  # sweeps that failed in a row
        self.doubt = ""  # why the last sweep was not whole
        self.held = ""  # why nothing is fetched for a while
        self.stalled = ""  # why what is in flight is not stored
        self.live_from: int | None = None  # IDLE announces UIDs from here on
        self._octets = octets
        self._opened_at = -inf
        self._snapshot: Snapshot | None = None
        self._early: list[Callable[[], None]] = []  # settled while the rows were read
        self._retried: dict[int, Refusal] = {}  # refused before, and claimed again
        self._struck: set[int] = set()  # alone when its connection ended, once
        self._gone: tuple[UidSet, object] | None = None  # many at once, as one whole sweep has it
        self._another: tuple[int, object] | None = None  # a UIDVALIDITY that one connection told
        self._late: tuple[UidSet, float] | None = None  # what IDLE should announce by then
        self._sweeps = self._whole_sweeps = self._doubts = 0
        self._full = True
        self._sweeping = False
        self._sweep_at = self._sweep_not_before = 0.0
        self._swept_at = -inf
        self._fetch_not_before = self._older_not_before = 0.0
        self._barren = self._holds = 0
        self._apart_next = False

    # ---- the generation ----

    def believes(self, known: int | None, told: int, connection: object) -> bool:
        """Whether the mailbox has the UIDVALIDITY that `connection` tells, where `known` is stored. A changed one is
        believed when a second connection tells it, too: the nodes of a cluster may disagree for a while."""
        before, self._another = self._another, None if known in (None, told) else (told, connection)
        if self._another is not None and (before is None or before[0] != told or before[1] is connection):
            return False
        self._another = None
        return True

    def opened(
        self,
        uidvalidity: int,
        birth: Birth,
        now: float,
        *,
        row_id: int = 0,
        stored: Iterable[int] = (),
        dead: Iterable[int] = (),
        in_flight: Mapping[int, tuple[str, int, int]] | None = None,
        refused: Mapping[int, Refusal] | None = None,
        old: OldGenerations | None = None,
    ) -> None:
        """A generation begins, with what the database and JetStream (`in_flight`: stream, sequence, bytes) know."""
        self.close()
        self._opened_at = now
        self.row_id, self.uidvalidity, self.birth, self.old = row_id, uidvalidity, birth, old or OldGenerations()
        self.uids = Statuses(self._octets, stored=stored, dead=dead, run=self.run)
        for uid, (stream, seq, size) in (in_flight or {}).items():
            if self.uids.of(uid) is None:
                self.uids.move(uid, Status.IN_FLIGHT, InFlight(stream, seq, size, now))
        for uid, refusal in (refused or {}).items():
            if self.uids.of(uid) is None:
                self.uids.move(uid, Status.REFUSED, refusal)
        early, self._early = self._early, []
        for settle in early:
            settle()

    def close(self) -> None:
        """The generation ends. Its run goes on with the next one, or with fail()."""
        self.uids.close()
        self.uids = Statuses(self._octets, run=self.run)
        self.uidvalidity, self.birth, self.highest, self.listed, self.live_from = 0, None, 0, None, None
        self._snapshot = self._gone = self._late = None
        self._retried.clear()
        self._struck.clear()
        if self.run is not None:
            self.run.begin_again()

    def identity(self, uid: int) -> Identity:
        return Identity(self.key.account, self.key.mailbox, self.uidvalidity, uid)

    # ---- sweeps ----

    def ask(self, now: float, run_id: str, *, full: bool = False, by: FoundBy = FoundBy.SWEEP) -> Run:
        """Sweep soon. A request during a run joins it. A person does not wait for the pause after a failure."""
        run = self.run
        if run is None:
            run = self.run = self.uids.run = Run(run_id, by, began=now, moved=now, needs=self._sweeps + 1)
        person = by is FoundBy.MANUAL
        if person:  # who comes during a sweep may have come too late for it
            run.asked, run.swept, run.moved, run.needs = True, False, now, self._sweeps + 1
            run.add(UidSet(self.uids.refused), self.uids.open)
        self._full |= full
        not_before = self._sweep_not_before
        if by is FoundBy.PUSH and not (self.doubt or self.failure):
            not_before = self._swept_at + PUSH_GAP
        self._sweep_at = min(self._sweep_at, now if person else max(now, not_before))
        return run

    @property
    def sweep_at(self) -> float:
        """When the next sweep is due; infinite while one is under way."""
        return inf if self._sweeping else self._sweep_at

    def begin_sweep(self, now: float, run_id: str) -> Sweep:
        self.ask(now, run_id)
        full = self._full or self._whole_sweeps % FULL_EVERY == 0
        self._full, self._sweep_at, self._sweeping = False, inf, True
        self._sweeps += 1
        return Sweep(self._sweeps, full)

    def counted(self, counters: Snapshot, now: float, run_id: str) -> bool:
        """The counters came though no sweep asked for them. True: they are as good as one, and the next is due an
        interval from now; where they tell of a change a sweep is due at once."""
        if not self.uidvalidity or self._sweeping or self.run is not None or self.failure or self.doubt:
            return False
        if self._full or self._whole_sweeps % FULL_EVERY == 0:
            return False
        if counters != self._snapshot or not unchanged(self._snapshot, counters):
            self.ask(now, run_id)
            return False
        self._sweeps, self._whole_sweeps = self._sweeps + 1, self._whole_sweeps + 1
        self._sweep_at = now + self.interval
        return True

    def nothing_new(self, sweep: Sweep, now: Snapshot) -> bool:
        """Whether the counters alone prove that the UIDs on the server are those of the last whole sweep."""
        return not sweep.full and not self.doubt and unchanged(self._snapshot, now)

    def known(self) -> Known:
        """To be asked for before the server is."""
        return Known(self.uids.stored, self.uids.waiting)

    def compare(self, known: Known, found: Listing, now: float) -> UidSet:
        """Rule 1. Returns what is to be announced as expunged; then comes expunged(), and swept() at the end."""
        fresh = self.uids.add(found.scope)
        if self.live_from is not None and (late := fresh & _from(self.live_from)):
            self._late = (late, now + PUSH_GRACE)
        if self.run is not None:
            waits = self.uids.open & found.uids if self.run.asked else fresh
            self.run.add(UidSet(self.uids.refused) if self.run.asked else UidSet(), waits)
        self.doubt = contradiction(found)
        if self.doubt:
            self._gone = None
            return UidSet()
        self.highest = max(self.highest, found.uids.max if found.uids else 0)
        self.listed = found.uids
        vanished = known.waiting - found.uids
        self._forget_trouble(vanished)
        self.uids.forget(vanished & self.uids.waiting)
        return self._gone_for_certain(known.stored - found.uids, len(known.stored), found.connection)

    def _gone_for_certain(self, gone: UidSet, of: int, connection: object) -> UidSet:
        before, self._gone = self._gone, None
        if len(gone) <= MANY or len(gone) * 10 <= of:
            return gone
        if before is None or before[1] is connection:
            self._gone = (gone, connection)
            self.doubt = f"{len(gone)} of {of} messages are gone at once; a second connection is to confirm it"
            return UidSet()
        return gone & before[0]

    def expunged(self, uidvalidity: int, gone: UidSet) -> None:
        """Their events are published."""
        if uidvalidity == self.uidvalidity:
            self.uids.forget(gone)
        if self.run is not None:
            self.run.expunged += len(gone)

    def unclaimed(self) -> list[OldPlace]:
        """I7: once every message of this generation is settled, what none has claimed of the old ones is gone."""
        if not self.old or self.doubt or self.listed is None or self.uids.refused or self.uids.open:
            return []
        return self.old.rest()

    def old_ended(self, count: int) -> None:
        """What was unclaimed() is announced as expunged."""
        self.old = OldGenerations()
        if self.run is not None:
            self.run.expunged += count

    def swept(self, sweep: Sweep, snapshot: Snapshot, now: float) -> None:
        """The sweep came to its end, with or without a comparison."""
        self.failure, self.attempts, self._sweeping, self._swept_at = "", 0, False, now
        run, wait = self.run, self.interval
        self._snapshot = None
        if self.doubt:
            self._doubts, self._full = self._doubts + 1, True
            wait = min(GAP * 2.0 ** (self._doubts - 1), LONGEST_DOUBT)
        else:
            self._doubts, self._whole_sweeps = 0, self._whole_sweeps + 1
            if snapshot.uidvalidity == self.uidvalidity:
                self._snapshot = snapshot
        self._sweep_not_before = now + (wait if self.doubt else min(GAP, self.interval))
        if run is not None:
            if not run.swept:  # the sweeps after it are no progress of what it waits for
                run.moved = now
            run.swept |= not self.doubt and sweep.number >= run.needs
            if self._doubts >= TOLD_AFTER and not run.swept:
                self.fail(self.doubt, now)
            elif run.swept and now < self._fetch_not_before and run.left:
                self.fail(self.held, now)
        hurry = run is not None and run.asked and not run.swept and not self.doubt
        self._sweep_at = max(min(self._sweep_at, now + wait), now if hurry else self._sweep_not_before)
        self._end_run(now)

    def sweep_failed(self, sweep: Sweep, words: str, now: float, wait: float) -> None:
        """Nothing was learnt; the next attempt is due in `wait` seconds, at once for a person who came meanwhile. A run
        that was swept already goes on."""
        self._full |= sweep.full
        self.failure, self.attempts, self._sweeping = words, self.attempts + 1, False
        self._sweep_not_before = now + wait
        if self.run is None or not self.run.asked or self.run.needs <= sweep.number:
            self._sweep_at = self._sweep_not_before
            if self.run is not None and not self.run.swept:
                self.fail(words, now)

    def abandon_sweep(self, sweep: Sweep) -> None:
        """It was cancelled: what it owed is still owed."""
        self._full |= sweep.full
        self._sweep_at, self._sweeping = 0.0, False

    # ---- fetching ----

    @property
    def fetch_at(self) -> float:
        """When there is something to fetch; infinite when nothing is."""
        due = [max(one.next_try, self._not_before(uid)) for uid, one in self.uids.refused.items()]
        due += [self._not_before(group.max) for group in (self.uids.missing, *self.uids.suspects) if group]
        return max(min(due, default=inf), self._fetch_not_before)

    def put_off(self, until: float, now: float) -> None:
        """Older mail is not fetched before then: what was there when this generation began. A run does not wait for
        it."""
        self._older_not_before = until
        self._end_run(now)

    def put_off_until(self, now: float) -> float | None:
        """None where nothing waits for that."""
        return self._older_not_before if now < self._older_not_before and self.older else None

    @property
    def older(self) -> int:
        """How many messages of older mail are still to be claimed."""
        waits = self.uids.missing | self.uids.suspect
        return len(waits) - len(self.birth.arrived(waits)) if self.birth is not None else 0

    def is_older(self, uid: int) -> bool:
        return self.birth is None or uid < self.birth.uidnext

    def _not_before(self, uid: int) -> float:
        return self._older_not_before if self.is_older(uid) else 0.0

    def claim(self, now: float, count: int) -> Fetch | None:
        """What to fetch now: up to `count` of the newest, or what is to be fetched apart, in turns."""
        if now < self._fetch_not_before:
            return None
        uids = self.uids.missing.newest(count)
        if now < self._older_not_before and self.birth is not None:
            uids = self.birth.arrived(uids)
        if self._apart_next or not uids:
            self._apart_next = False
            if apart := self._claim_apart(now):
                return Fetch(apart, apart=True)
        self._apart_next = True
        self.uids.claim(uids)
        return Fetch(uids) if uids else None

    def _claim_apart(self, now: float) -> UidSet:
        for uids in self.uids.suspects:
            if self._not_before(uids.max) <= now:
                self.uids.suspects.remove(uids)
                self.uids.claim(uids)
                return uids
        due = [uid for uid, one in self.uids.refused.items() if max(one.next_try, self._not_before(uid)) <= now]
        if not due:
            return UidSet()
        uid = min(due, key=lambda each: self.uids.refused[each].next_try)
        self._claim_refused(uid)
        return UidSet((uid,))

    def claim_pushed(self, uidvalidity: int, uid: int) -> bool:
        """Take care of a message that the live connection gives; False if somebody does already, or has. What waits is
        taken as well: here it is."""
        status = self.uids.of(uid)
        if uidvalidity != self.uidvalidity or status not in (None, Status.MISSING, Status.SUSPECT, Status.REFUSED):
            return False
        if status is Status.REFUSED:
            self._claim_refused(uid)
        else:
            self.uids.move(uid, Status.CLAIMED)
        return True

    def _claim_refused(self, uid: int) -> None:
        self._retried[uid] = self.uids.refused[uid]
        self.uids.move(uid, Status.CLAIMED)

    def announced(self, uidvalidity: int, uids: UidSet) -> None:
        """The live connection lists these as new, and could not have them."""
        if uidvalidity == self.uidvalidity:
            self.uids.add(uids)

    def give_back(self, uidvalidity: int, uids: Iterable[int], now: float) -> None:
        """Whatever ended the FETCH of these, it was not they."""
        for uid in self._still_claimed(uidvalidity, uids):
            if uid in self._retried:
                self._refuse(uid, self._retried.pop(uid), now)
            else:
                self.uids.move(uid, Status.MISSING)

    def failed(self, uidvalidity: int, uids: Iterable[int], words: str, now: float, *, final: bool = False) -> None:
        """Rule 2: a FETCH of these failed, perhaps after it gave others. One that stands alone is refused: at once when
        the server said so (`final`), else when its second connection ended."""
        back = self._still_claimed(uidvalidity, uids)
        if len(back) == 1:
            uid = back.min
            if final or uid in self._struck or uid in self._retried:
                self._refuse(uid, self._refusal(uid, words, now), now)
            else:
                self._struck.add(uid)
                self.uids.move(uid, Status.SUSPECT)
        elif back:
            newer = back.newest(len(back) // 2)
            self.uids.claimed.difference_update(back)
            self.uids.suspects.extend((newer, back - newer))
        if uidvalidity == self.uidvalidity:
            self._gave_nothing(words, now)

    def not_given(self, uidvalidity: int, uids: Mapping[int, str], now: float) -> None:
        """The server lists these, and answered a FETCH without them, or with what is no message; each with the words
        for it. Nobody else is to blame."""
        back = self._still_claimed(uidvalidity, uids)
        for uid in back:
            self._refuse(uid, self._refusal(uid, uids[uid], now), now)
        if back:
            self._gave_nothing(uids[back.min], now)

    def vanished(self, uidvalidity: int, uid: int, now: float) -> None:
        """The server has what was claimed no longer."""
        for each in self._still_claimed(uidvalidity, (uid,)):
            self.uids.move(each, None)
            self._forget_trouble((each,))
            self._end_run(now)

    def hold(self, words: str, now: float, seconds: float) -> None:
        """Rule 3: nothing is fetched before then. A run is not to wait for it."""
        self._fetch_not_before = max(self._fetch_not_before, now + seconds)
        self.held = words
        if self.run is not None and self.run.left and self.run.swept:
            self.fail(words, now)

    @property
    def held_until(self) -> float:
        return self._fetch_not_before

    def published(self, uidvalidity: int, uid: int, stream: str, seq: int, size: int, now: float) -> None:
        """The PubAck came."""
        if uidvalidity != self.uidvalidity:
            return
        if now >= self._fetch_not_before:  # else it was under way when the pause began
            self._barren = self._holds = 0
            self.held = ""
        if self.run is not None:
            self.run.moved = now
        self._forget_trouble((uid,))
        if self.uids.of(uid) not in (Status.STORED, Status.DEAD, Status.IN_FLIGHT):  # else it was settled before
            self.uids.move(uid, Status.IN_FLIGHT, InFlight(stream, seq, size, now))

    def _still_claimed(self, uidvalidity: int, uids: Iterable[int]) -> UidSet:
        mine = uidvalidity == self.uidvalidity
        return UidSet(uid for uid in uids if uid in self.uids.claimed) if mine else UidSet()

    def _refusal(self, uid: int, words: str, now: float) -> Refusal:
        before = self._retried.pop(uid, None)
        tries = before.tries + 1 if before else 1
        wait = min(REFUSED_FIRST * 2.0 ** min(tries - 1, 32), REFUSED_LONGEST)
        return Refusal(words, before.since if before else now, tries, now + wait)

    def _refuse(self, uid: int, refusal: Refusal, now: float) -> None:
        self.uids.move(uid, Status.REFUSED, refusal)
        self._end_run(now)

    def _gave_nothing(self, words: str, now: float) -> None:
        """A server that refuses every FETCH in words that we do not know is left alone, longer and longer."""
        self._barren += 1
        if self._barren >= BARREN:
            self.hold(words, now, min(HOLD_FIRST * 2.0 ** min(self._holds, 32), HOLD_LONGEST))
            self._holds += 1

    def _forget_trouble(self, uids: Iterable[int]) -> None:
        if self._retried or self._struck:
            for uid in uids:
                self._retried.pop(uid, None)
                self._struck.discard(uid)

    # ---- storing ----

    def settled(
        self,
        uidvalidity: int,
        uid: int,
        now: float,
        *,
        dead: str = "",
        rebound: OldPlace | None = None,
        sha256: str = "",
    ) -> None:
        """The consumer stored it (its row was `rebound` from there), or dead-lettered it for the reason `dead`."""
        if self.uidvalidity == 0:
            self._early.append(partial(self.settled, uidvalidity, uid, now, dead=dead, rebound=rebound, sha256=sha256))
            return
        if rebound is not None:
            self.old.settled(rebound)
        if uidvalidity != self.uidvalidity:
            if sha256 and now - self._opened_at < LATE:
                self.old.add(sha256, OldPlace(uidvalidity, uid))
            return
        if self.run is not None:
            self.run.moved = now
        self._forget_trouble((uid,))
        if not dead or self.uids.of(uid) is not Status.STORED:
            self.uids.move(uid, Status.DEAD if dead else Status.STORED)
        self._end_run(now)

    def overdue(self, before: float, anew: Collection[str] = ()) -> dict[int, InFlight]:
        """What has been in flight since before then, and whatever is in these streams."""
        return {uid: one for uid, one in self.uids.in_flight.items() if one.since < before or one.stream in anew}

    def looked_up(
        self, overdue: Mapping[int, InFlight], stored: Set[int], now: float, streams: Mapping[str, Standing]
    ) -> UidSet:
        """`stored` are those of `overdue` that the database holds, read after the standing of the `streams`. Returns
        what is lost: what its stream has settled, dropped or never had, and the database does not hold."""
        for uid in stored & self.uids.in_flight.keys():
            self.settled(self.uidvalidity, uid, now)
        return UidSet(
            uid
            for uid, entry in overdue.items()
            if self.uids.in_flight.get(uid) is entry and streams[entry.stream].lost(entry.seq)
        )

    def lost(self, uidvalidity: int, uids: Iterable[int]) -> None:
        """What was published of them is in no stream and no row."""
        for uid in uids if uidvalidity == self.uidvalidity else ():
            if uid in self.uids.in_flight:
                self.uids.move(uid, Status.MISSING)

    # ---- IDLE ----

    def distrusted(self, now: float) -> int:
        """How many messages IDLE should have announced and has not, even after a moment; told once."""
        if self._late is None or now < self._late[1]:
            return 0
        late, self._late = self._late[0], None
        return len(late & _from(self.live_from)) if self.live_from is not None else 0  # that connection has ended

    # ---- runs and states ----

    def stall(self, words: str) -> None:
        """What keeps mail from being stored, "" when nothing does that anybody knows of."""
        self.stalled = words

    def fail(self, words: str, now: float) -> None:
        """The run ends with that reason; what is to be fetched stays so."""
        if self.run is not None:
            self.run.error, self.run.swept, self.run.left = words, True, 0
            self._end_run(now)

    def tick(self, now: float) -> None:
        """Rule 4."""
        if self.run is not None and now - self.run.moved > self._patience:
            why = self._stalled() or self.failure or self.doubt or self.held or "see the log"
            self.fail(f"no progress for {self._patience:.0f} s; it goes on without being waited for: {why}", now)

    @property
    def _patience(self) -> float:
        return STALLED if self._stalled() and self.run is not None and self.run.swept else PATIENCE

    def _stalled(self) -> str:
        return self.stalled if self.uids.in_flight or self.uids.claimed else ""

    @property
    def next_tick(self) -> float:
        """When something is due though nothing happens: a sweep, a look at IDLE, the end of a run."""
        late = self._late[1] if self._late is not None else inf
        return min(self.sweep_at, late, self.run.moved + self._patience + 1 if self.run is not None else inf)

    def result(self, run: Run, now: float) -> MailboxResult:
        """The run as it stands."""
        if run.result is not None:
            return run.result
        given = self.uids.stored | self.uids.dead | UidSet(self.uids.in_flight)
        return MailboxResult(
            account=self.key.account,
            mailbox=self.key.mailbox,
            status="running",
            error=run.error or self._errors(run.found),
            found=len(run.found),
            published=len(run.found & given),
            stored=len(run.found & self.uids.stored),
            expunged=run.expunged,
            duration_ms=round((now - run.began) * 1000),
        )

    def state(self) -> tuple[str, str]:
        """`last_sync_status` and the words for it; never `ok` while something that was listed is neither stored nor in
        flight nor dead nor out of scope."""
        waits = bool(self.uids.missing or self.uids.suspects or self.uids.claimed)
        if self.failure:
            return "failed", self.failure
        if stalled := self._stalled():
            return "incomplete", stalled
        if trouble := self.doubt or self._errors(UidSet(self.uids.refused)) or (self.held if waits else ""):
            return "incomplete", trouble
        return ("running" if waits or self.listed is None else "ok"), ""

    def _errors(self, among: UidSet) -> str:
        if refused := among & UidSet((*self.uids.refused, *self._retried)):
            one = (self.uids.refused.get(refused.min) or self._retried[refused.min]).words
            return f"{len(refused)} message(s) refused, UID {refused.min}: {one}"
        if dead := among & self.uids.dead:
            return f"{len(dead)} message(s) dead-lettered, UID {dead.min}; see `mozzart dead-letters list`"
        return ""

    def _end_run(self, now: float) -> None:
        run = self.run
        if run is not None and run.swept and run.left and self._put_off_alone(now):
            run.left = 0
            run.error = run.error or f"{self.older} older message(s) wait, as the budget of the day is fetched"
        if run is None or run.left or not run.swept:
            return
        standing = self.result(run, now)
        # What is dead since earlier is no fault of this run, and nobody shall think that it is stored.
        ended = {"status": "failed"} if standing.error else {"status": "ok", "error": self._errors(self.uids.dead)}
        run.result = standing.model_copy(update=ended)
        self.run = self.uids.run = None
        self.ended.append(run)

    def _put_off_alone(self, now: float) -> bool:
        """Whether all that a run could wait for is put off."""
        if now >= self._older_not_before or self.uids.in_flight or self.uids.claimed:
            return False
        return all(self.is_older(group.max) for group in (self.uids.missing, *self.uids.suspects) if group)


def _from(uid: int) -> UidSet:
    return UidSet.from_ranges([(uid, MAX_UID)])
