"""A model of everything around one mailbox, for hypothesis: a server that may lie, a stream, a database, a clock.

`World` is a state machine: its rules are what can happen, in any order; its invariants are what must hold whatever
happened. Tests run it as it is and with faults planted into the machine.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mailcore.events.identity import MailboxKey
from mailcore.events.message import FoundBy
from mailcore.imap.sequence import UidSet
from mailcore.sync.generation import Birth
from mailcore.sync.listing import Listing, Snapshot
from mailcore.sync.mailbox import PATIENCE, REFUSED_FIRST, Known, Mailbox, Sweep
from mailcore.sync.run import Run
from mailcore.sync.statuses import OPEN, Octets, Refusal, Standing, Status

INTERVAL = 60.0
SEEN = datetime(2026, 1, 1, tzinfo=UTC)
PICKS = st.lists(st.integers(0, 60), max_size=12)
MEANWHILE = st.sampled_from(("", "", "mail", "expunge", "push", "stored", "ask", "hold"))
WORDS = "the server's words"
STREAM = "MAIL_BACKFILL"


class World(RuleBasedStateMachine):
    """`make` builds the machine under test."""

    make: ClassVar[type[Mailbox]] = Mailbox

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.octets = Octets()
        self.key = MailboxKey("a", "INBOX")
        self.uidvalidity, self.uidnext = 7, 1
        self.server: set[int] = set()
        self.stream: dict[int, tuple[int, int]] = {}  # published and not consumed: sequence and size
        self.seq = self.floor = 0
        self.database: set[int] = set()
        self.marked: set[int] = set()  # rows that are expunged
        self.dead: set[int] = set()
        self.acked: set[int] = set()
        self.unacked: dict[int, int] = {}  # published, the PubAck is under way
        self.unheard: list[tuple[int, int, str]] = []  # settled by the consumer, not yet told
        self.fetching: list[tuple[int, UidSet, bool]] = []
        self.poison: set[int] = set()
        self.sweeping: tuple[Sweep, Known, object, Snapshot] | None = None
        self.due_after: dict[int, float] = {}  # refused: not to be asked for before then
        self.failed_alone: set[int] = set()
        self.held_until = 0.0
        self.no_sweep_before = 0.0
        self.somebody_waits = False  # asked by hand since the last sweep began
        self.connections = 0
        self.doubted: tuple[UidSet, object] | None = None
        self.listed_whole: UidSet | None = None
        self.runs: list[Run] = []
        self.machine = self.make(self.key, self.octets, INTERVAL)
        self.older_not_before = 0.0

    # ---- what happens on the server ----

    @initialize(count=st.integers(0, 40), stored=st.booleans())
    def begin(self, count: int, stored: bool) -> None:
        self.deliver(count)
        self.open()
        if stored:
            self._sweep_honestly()
            for _ in range(3):
                self._work()

    @rule(count=st.integers(1, 8), bad=st.integers(0, 2))
    def deliver(self, count: int, bad: int = 0) -> None:
        """The first `bad` of them cannot be given."""
        self.server.update(range(self.uidnext, self.uidnext + count))
        self.poison.update(range(self.uidnext, self.uidnext + min(bad, count)))
        self.uidnext += count

    @rule(picks=PICKS)
    def expunge(self, picks: list[int]) -> None:
        self.server -= self._pick(self.server, picks)

    @rule()
    def expunge_most(self) -> None:
        self.server = set(sorted(self.server)[:2])

    @rule(picks=PICKS)
    def spoil(self, picks: list[int]) -> None:
        """From now on the server cannot give these."""
        self.poison |= self._pick(self.server, picks[:3])

    @rule()
    def mend(self) -> None:
        self.poison.clear()

    @rule(seconds=st.sampled_from((0.1, 1.0, 5.0, 61.0, 130.0, 1000.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # ---- sweeps ----

    @rule(by=st.sampled_from((FoundBy.SWEEP, FoundBy.MANUAL)), full=st.booleans())
    def ask(self, by: FoundBy, full: bool) -> None:
        self.machine.ask(self.now, f"run {len(self.runs)}", full=full, by=by)
        if by is FoundBy.MANUAL:
            self.no_sweep_before, self.somebody_waits = 0.0, True
        self._note_run()

    @rule(
        hidden=PICKS,
        lie=st.sampled_from(("", "", "hides", "empty", "status", "exists", "fails")),
        same=st.booleans(),
        meanwhile=MEANWHILE,
        picks=PICKS,
    )
    def sweep(self, hidden: list[int], lie: str, same: bool, meanwhile: str, picks: list[int]) -> None:
        """From its begin to its end; something happens in between."""
        if self.sweeping is None:
            self.begin_sweep(wait=True)
        if self.sweeping is None:
            return
        self._happens(meanwhile, picks)
        if self.sweeping is None:
            return
        if lie == "fails":
            self.sweep_fails(30.0 if same else 0.5)
        else:
            self.end_sweep(hidden, lie, same)

    @rule(
        meanwhile=MEANWHILE,
        picks=PICKS,
        count=st.sampled_from((2, 5, 50)),
        outcome=st.integers(0, 4),
        cut=st.integers(0, 50),
        how_far=st.integers(0, 3),
    )
    def fetch(self, meanwhile: str, picks: list[int], count: int, outcome: int, cut: int, how_far: int) -> None:
        """From the claim to its end, to the PubAck, to the row, to the news of it."""
        if not self.fetching:
            self.claim(count)
        self._happens(meanwhile, picks)
        if self.fetching:
            self.end_fetch(0, outcome, cut)
        self._go_on(how_far)

    def _go_on(self, how_far: int) -> None:
        everything = list(range(61))
        if how_far > 0:
            self.pub_acks(everything, came=True)
        if how_far > 1:
            self.consume(everything, told=True, dies=False)
        if how_far > 2:
            self.hear()

    def _happens(self, what: str, picks: list[int]) -> None:
        if what == "mail":
            self.deliver(2)
        elif what == "expunge":
            self.expunge(picks)
        elif what == "push":
            self.deliver(2)
            self.push(list(range(61)), 3)
        elif what == "stored":
            self._go_on(3)
        elif what == "ask":
            self.ask(FoundBy.MANUAL, full=True)
        elif what == "hold":
            self.server_wants_a_pause(5.0)

    def begin_sweep(self, wait: bool) -> None:
        if wait:
            self.now = max(self.now, min(self.machine.sweep_at, self.now + 2 * INTERVAL))
        if self.machine.sweep_at > self.now:
            return
        assert self.now >= self.no_sweep_before, "a sweep before the pause after a failure was over"
        self.connections += 1
        self.somebody_waits = False
        begun = self.machine.begin_sweep(self.now, f"run {len(self.runs)}")
        self._note_run()
        snapshot = self._snapshot()
        if self.machine.nothing_new(begun, snapshot):
            assert self.listed_whole is not None, "nothing new before anything was compared"
            assert UidSet(self.server) == self.listed_whole, "a change was taken for none"
            self.machine.swept(begun, snapshot, self.now)
            self._note_ended()
            return
        self.sweeping = begun, self.machine.known(), self.connections, snapshot

    def end_sweep(self, hidden: list[int], lie: str, same: bool) -> None:
        """The answer comes; whatever happened since the sweep began happened while it travelled."""
        assert self.sweeping is not None
        begun, known, connection, snapshot = self.sweeping
        self.sweeping = None
        if same and self.doubted is not None:
            connection = self.doubted[1]
        uids, exists, messages = UidSet(self.server), len(self.server), snapshot.messages or 0
        if lie == "hides":
            uids -= UidSet(self._pick(self.server, hidden))
        elif lie == "empty":
            uids = UidSet()
        elif lie == "status":
            uids, exists = UidSet(), 0
        elif lie == "exists":
            exists += 3
        found = Listing(self.uidvalidity, uids, uids, exists, messages, connection)
        honest = len(uids) == exists and messages <= exists
        gone = self.machine.compare(known, found, self.now)
        self._check_gone(gone, known, honest, connection)
        self.marked |= set(gone)
        self.machine.expunged(self.uidvalidity, gone)
        if honest:
            for uid in self.server:
                assert self.machine.uids.of(uid) is not None or uid not in uids, f"UID {uid} is listed and lost"
            if not self.machine.doubt:
                self.listed_whole = uids
        self.machine.swept(begun, snapshot, self.now)
        self.no_sweep_before = 0.0
        self._note_ended()

    def _snapshot(self) -> Snapshot:
        return Snapshot(self.uidvalidity, self.uidnext, len(self.server))

    def _check_gone(self, gone: UidSet, known: Known, honest: bool, connection: object) -> None:
        if not honest:
            assert not gone, "expunged by a sweep that contradicts itself"
            self.doubted = None
            return
        assert not set(gone) & self.server, "expunged what is there"
        missing = known.stored - UidSet(self.server)
        if len(missing) > 10 and len(missing) * 10 > len(known.stored):
            if self.doubted is None or self.doubted[1] is connection:
                assert not gone, "many expunged by one sweep"
                self.doubted = (missing, connection)
            else:
                assert not gone - self.doubted[0], "expunged what only one of two sweeps does not list"
                self.doubted = None
        else:
            self.doubted = None
            assert gone == missing, "gone, and not expunged by a whole sweep"

    def sweep_fails(self, wait: float) -> None:
        assert self.sweeping is not None
        begun, *_ = self.sweeping
        self.sweeping = None
        self.machine.sweep_failed(begun, WORDS, self.now, wait)
        self.no_sweep_before = 0.0 if self.somebody_waits else self.now + wait
        assert self.machine.state() == ("failed", WORDS)
        self._note_ended()

    # ---- fetching ----

    @rule(count=st.sampled_from((2, 5, 50)))
    def claim(self, count: int) -> None:
        wish = self.machine.claim(self.now, count)
        if wish is None:
            assert self.machine.fetch_at > self.now or not self.machine.uids.missing
            return
        assert self.now >= self.held_until, "fetched while the server wants to be left alone"
        assert self.now >= self.older_not_before or not self.machine.is_older(wish.uids.max), "older mail is not due"
        for uid in wish.uids:
            assert self.now >= self.due_after.get(uid, 0.0), f"UID {uid} asked for again too soon"
        if set(wish.uids) & (self.due_after.keys() | self.failed_alone):
            assert len(wish.uids) == 1, "a culprit in company"
            assert wish.apart
        self.fetching.append((self.uidvalidity, wish.uids, wish.apart))

    def end_fetch(self, pick: int, lost: int, cut: int) -> None:
        """Good ones are given; poison refuses, ends the connection or is not given, as `lost` says."""
        validity, uids, _ = self.fetching.pop(pick % len(self.fetching))
        if validity != self.uidvalidity:
            self.machine.failed(validity, uids, WORDS, self.now)  # of a generation that has ended
            return
        bad = set(uids) & self.poison
        given = [uid for uid in uids if uid in self.server and uid not in bad]
        if lost == 3:
            given = []  # nothing is published, and nobody is to blame
        elif bad and lost < 2:
            given = [uid for uid in given if uid < min(bad)][:cut]  # what came before the connection ended
        for uid in given:
            self._publish(uid)
        rest = [uid for uid in uids if uid not in given]
        if bad and lost < 2:
            self._fail(rest, final=lost == 0)
        elif bad and lost == 2:
            self.machine.not_given(validity, {uid: WORDS for uid in rest if uid in self.server}, self.now)
            self._note_refused(rest)
        for uid in rest:
            if uid not in self.server and lost != 3:
                self.machine.vanished(validity, uid, self.now)
                self._absolve(uid)
        still = [uid for uid in uids if uid in self.machine.uids.claimed and uid not in self.unacked]
        self.machine.give_back(validity, still, self.now)
        self._note_ended()

    def _fail(self, rest: list[int], *, final: bool) -> None:
        alone = {uid for uid in rest if uid in self.machine.uids.claimed}
        self.machine.failed(self.uidvalidity, rest, WORDS, self.now, final=final)
        if len(alone) == 1:
            self.failed_alone |= alone
        self._note_refused(rest)

    def _note_refused(self, uids: list[int]) -> None:
        for uid in uids:
            refusal = self.machine.uids.refused.get(uid)
            if refusal is not None:
                wait = REFUSED_FIRST * 2 ** (refusal.tries - 1)
                assert refusal.next_try >= self.now + min(wait, 86400), "the pauses do not grow"
                self.due_after[uid] = refusal.next_try
        if self.machine.held and self.machine.held_until > self.now:
            self.held_until = self.machine.held_until

    @rule(seconds=st.sampled_from((5.0, 300.0)))
    def server_wants_a_pause(self, seconds: float) -> None:
        self.machine.hold(WORDS, self.now, seconds)
        self.held_until = max(self.held_until, self.now + seconds)
        self._note_ended()

    @rule(seconds=st.sampled_from((0.0, 5.0)))
    def older_mail_waits(self, seconds: float) -> None:
        self.older_not_before = self.now + seconds
        self.machine.put_off(self.older_not_before, self.now)
        self._note_ended()

    @rule(picks=PICKS, how_far=st.integers(0, 3))
    def push(self, picks: list[int], how_far: int) -> None:
        for uid in self._pick(self.server - self.poison, picks):
            before = self.machine.uids.of(uid)
            if self.machine.claim_pushed(self.uidvalidity, uid):
                assert before not in (Status.CLAIMED, Status.IN_FLIGHT, Status.STORED, Status.DEAD), "taken twice"
                self._publish(uid)
        self._go_on(how_far)

    def _publish(self, uid: int) -> None:
        self.seq += 1
        self.unacked[uid] = self.seq
        if uid not in self.stream:
            self.stream[uid] = (self.seq, 100 + uid)

    @rule(picks=PICKS, came=st.booleans())
    def pub_acks(self, picks: list[int], came: bool) -> None:
        for uid in self._pick(self.unacked, picks):
            seq = self.unacked.pop(uid)
            if came:
                self.acked.add(uid)
                self.machine.published(self.uidvalidity, uid, STREAM, seq, 100 + uid, self.now)
                self._absolve(uid)
                self.held_until = min(self.held_until, self.machine.held_until)
            else:
                self.machine.give_back(self.uidvalidity, [uid], self.now)

    def _absolve(self, uid: int) -> None:
        self.due_after.pop(uid, None)
        self.failed_alone.discard(uid)

    # ---- storing ----

    @rule(picks=PICKS, told=st.booleans(), dies=st.booleans())
    def consume(self, picks: list[int], told: bool, dies: bool) -> None:
        for uid in self._pick(self.stream, picks):
            seq, _ = self.stream.pop(uid)
            self.floor = max(self.floor, seq) if not self.stream else self.floor
            if dies and uid not in self.database:
                self.dead.add(uid)
            else:
                self.database.add(uid)
                self.marked.discard(uid)
            if told:
                self.unheard.append((self.uidvalidity, uid, "its reason" if uid in self.dead else ""))

    @rule()
    def hear(self) -> None:
        for validity, uid, dead in self.unheard:
            self.machine.settled(validity, uid, self.now, dead=dead)
            if validity == self.uidvalidity:
                self._absolve(uid)
        self.unheard.clear()
        self._note_ended()

    @rule(trouble=st.sampled_from(("", "", "deleted", "power cut")), kept=st.integers(0, 5))
    def look_up(self, trouble: str, kept: int) -> None:
        if trouble == "deleted":
            self.stream.clear()
        elif trouble == "power cut":  # the sequences of what it took are given a second time
            self.seq -= min(kept, self.seq)
            self.floor = min(self.floor, self.seq)
            self.stream = {uid: held for uid, held in self.stream.items() if held[0] <= self.seq}
        overdue = self.machine.overdue(self.now + 1)
        stored = (self.database - self.marked) & overdue.keys()
        first = min((seq for seq, _ in self.stream.values()), default=self.seq + 1)
        standing = Standing(first - 1, first, self.seq, anew=bool(trouble))
        lost = self.machine.looked_up(overdue, stored, self.now, {STREAM: standing})
        assert trouble or not set(lost) & self.stream.keys(), "what is in the stream was taken for lost"
        for uid in stored:
            self._absolve(uid)
        for uid in set(lost) & self.dead:
            self.machine.settled(self.uidvalidity, uid, self.now, dead="its reason")
        self.machine.lost(self.uidvalidity, set(lost) - self.dead)
        self._note_ended()

    # ---- lives and deaths ----

    @rule(what=st.sampled_from(("", "", "", "", "", "crash", "crash", "new generation")))
    def life_goes_on_or_begins_anew(self, what: str) -> None:
        if what == "crash":
            self.crash()
        elif what == "new generation":
            self.new_generation()

    def crash(self) -> None:
        """The process ends anywhere and begins again, with what the database and the stream hold."""
        saved = dict(self.machine.uids.refused)
        self.machine.close()
        assert self.octets.total == 0, "bytes are counted for a mailbox that is closed"
        self.machine = self.make(self.key, self.octets, INTERVAL)
        self.older_not_before = 0.0
        self._forget()
        self.due_after = {uid: one.next_try for uid, one in saved.items()}
        self.open(saved)

    def new_generation(self) -> None:
        if self.sweeping is not None:
            self.machine.abandon_sweep(self.sweeping[0])
        self.uidvalidity += 1
        count = len(self.server)
        self.server, self.uidnext = set(range(1, count + 1)), count + 1
        for known in (self.stream, self.database, self.marked, self.dead, self.unacked, self.poison, self.due_after):
            known.clear()
        self._forget()
        self.open()

    def _forget(self) -> None:
        self.fetching.clear()
        self.unacked.clear()
        self.unheard.clear()
        self.failed_alone.clear()
        self.due_after.clear()
        self.sweeping = self.doubted = self.listed_whole = None
        self.held_until = self.machine.held_until
        self.no_sweep_before = 0.0

    def open(self, refused: dict[int, Refusal] | None = None) -> None:
        self.acked = set(self.stream)
        self.machine.opened(
            self.uidvalidity,
            Birth(SEEN, SEEN, self.uidnext),
            self.now,
            stored=self.database - self.marked,
            dead=self.dead,
            in_flight={uid: (STREAM, *held) for uid, held in self.stream.items()},
            refused=refused,
        )
        if self.machine.sweep_at > self.now:
            self.machine.ask(self.now, f"run {len(self.runs)}", full=True)
        self._note_run()

    @rule()
    def tick(self) -> None:
        run, waited = self.machine.run, self.machine.run is not None and self.now - self.machine.run.moved > PATIENCE
        self.machine.tick(self.now)
        if run is not None and waited:
            assert run.ended, "a run without progress does not end"
            assert run.result is not None
            assert run.result.error, "a run that was given up says nothing"
        self._note_ended()

    def _note_run(self) -> None:
        if self.machine.run is not None and self.machine.run not in self.runs:
            self.runs.append(self.machine.run)

    def _note_ended(self) -> None:
        for run in self.machine.ended:
            assert run.result is not None
            assert run.result.status in ("ok", "failed")
            if run.result.status == "ok":
                unsettled = {uid for uid in run.found if self.machine.uids.of(uid) in OPEN}
                assert not unsettled, f"a run ended well while {unsettled} are not settled"
                refused = {uid for uid in run.found if uid in self.machine.uids.refused}
                assert not refused, f"a run ended well while {refused} are refused"
        self.machine.ended.clear()

    def _pick(self, among: object, picks: list[int]) -> set[int]:
        ordered = sorted(among)  # type: ignore[call-overload]
        return {ordered[pick % len(ordered)] for pick in picks} if ordered else set()

    # ---- what holds whatever happened ----

    @invariant()
    def each_uid_has_one_status(self) -> None:
        uids = self.machine.uids
        groups = [uids.stored, uids.dead, uids.missing, *uids.suspects]
        groups += [UidSet(each) for each in (uids.claimed, uids.in_flight, uids.refused)]
        assert sum(map(len, groups)) == len(UidSet(uid for group in groups for uid in group)), "two statuses at once"

    @invariant()
    def one_sweep_at_a_time(self) -> None:
        assert self.sweeping is None or self.machine.sweep_at == float("inf")

    @invariant()
    def the_credit_is_what_is_in_flight(self) -> None:
        assert self.octets.total == sum(entry.size for entry in self.machine.uids.in_flight.values())
        assert self.machine.uids.octets == self.octets.total

    @invariant()
    def a_run_counts_what_it_waits_for(self) -> None:
        run = self.machine.run
        if run is not None:
            assert run.left == len(run.found & self.machine.uids.open)
            assert not (run.swept and run.left == 0), "a run with nothing left has not ended"

    @invariant()
    def nothing_is_known_before_it_is_durable(self) -> None:
        """I2."""
        assert set(self.machine.uids.stored) <= self.database, "stored before the commit"
        assert self.machine.uids.in_flight.keys() <= self.acked, "in flight before the PubAck"

    @invariant()
    def ok_means_that_nothing_listed_waits(self) -> None:
        status, words = self.machine.state()
        if status == "ok":
            assert self.listed_whole is not None
            for uid in self.listed_whole:
                assert self.machine.uids.of(uid) in (None, Status.STORED, Status.IN_FLIGHT, Status.DEAD)
        assert (status in ("failed", "incomplete")) == bool(words), "trouble without words, or words without trouble"

    def teardown(self) -> None:
        """Whatever happened: once the server is honest and everything works, all is stored, and nobody waits."""
        if sys.exc_info()[0] is not None:  # a rule has failed: what follows would hide it
            return
        self.poison.clear()
        self.older_mail_waits(0.0)
        for _ in range(30):
            self._work()
            self.look_up("", 0)
            self.time_passes(1000.0)
            self.tick()
            self._sweep_honestly()
        self.now += 90_000.0  # the longest pause of a refused message is a day
        for _ in range(100):
            self._work()
        self._sweep_honestly()
        assert self.server <= (self.database - self.marked) | self.dead, "lost"
        assert set(self.machine.uids.stored) <= self.server, "phantoms"

    def _sweep_honestly(self) -> None:
        if self.sweeping is None:
            self.begin_sweep(wait=True)
        if self.sweeping is not None:
            self.end_sweep([], "", same=False)

    def _work(self) -> None:
        self.claim(50)
        while self.fetching:
            self.end_fetch(0, 9, 50)
        while self.unacked:
            self.pub_acks(list(range(61)), came=True)
        while self.stream:
            self.consume(list(range(61)), told=True, dies=False)
        self.hear()
