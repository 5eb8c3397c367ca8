"""Crash at any moment and at each effect, resume, run again: the end is the same as without a crash.

`make crash` tries every effect of syncer and consumer (CRASH_POINTS=all, or so many of them); otherwise a few.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.dovecot import Dovecot, append
from tests.support.effects import Point
from tests.support.installation import Installation
from tests.support.mail import Mail, make_mail
from tests.support.mailboxes import Mailboxes
from tests.support.processes import ROLES, Mozzart
from tests.support.programs import need_program, wait_until

KILLS = int(os.environ.get("CRASH_KILLS", "50"))
MESSAGES = int(os.environ.get("CRASH_MESSAGES", "1000"))
POINTS = os.environ.get("CRASH_POINTS", "")
SIDE_BY_SIDE = 4
# Where all of them take too long: in the middle of files and rows, of what is published, of a state that is written.
SAMPLE = {
    "consumer": (Point("renameat", 2), Point("linkat", 1), Point("pwrite64", 40)),
    "syncer": (Point("sendto", 40), Point("sendto", 200), Point("pwrite64", 40)),
}
LARGE = 9_500_000  # more than one message of NATS holds


@pytest.mark.invariant("I3", "I4")
@pytest.mark.timeout(400)
def test_kill_9_of_every_process_while_mail_arrives_loses_and_doubles_nothing(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mozzart = make_mozzart(SYNC_INTERVAL="2").use(dovecot).start().wait_ready()
    sent: dict[int, Mail] = {}
    killing_is_over = threading.Event()
    failure: list[BaseException] = []

    def deliver() -> None:
        try:
            with dovecot.connect() as connection:
                for number in range(MESSAGES):
                    mail = make_mail(number, text=1_500, files=(8_000,) if number % 5 == 0 else ())
                    sent[append(connection, mail.raw)] = mail
                    killing_is_over.wait(0.03)  # spread over the kills, not after them
        except BaseException as error:
            failure.append(error)
            raise

    sender = threading.Thread(target=deliver)
    sender.start()
    dice = random.Random(20_000)
    killed: Counter[str] = Counter()
    try:
        while killed.total() < KILLS:
            role = dice.choice(ROLES)
            mozzart.kill(role)
            killed[role] += 1
            time.sleep(dice.uniform(0.1, 1.2))  # the random moment of the next kill
    finally:
        killing_is_over.set()
        sender.join(60)
    assert not failure, failure

    mozzart.wait_ready(within=60)
    mozzart.wait_stored(MESSAGES, within=90)
    last = mozzart.http("POST", "/api/mailbox/sync/?wait=60")

    assert (last.status, last.json["status"]) == (200, "ok")
    assert killed.total() >= KILLS
    assert set(killed) == set(ROLES)
    assert dovecot.uids() == sorted(sent)
    mozzart.check_complete(sent)
    again = mozzart.http("POST", "/api/mailbox/sync/?wait=60").json
    assert (again["found"], again["published"], again["stored"], again["expunged"]) == (0, 0, 0, 0)


def test_kill_9_of_the_supervisor_leaves_no_process_and_the_next_start_goes_on(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mails = [make_mail(number, files=(30_000,)) for number in range(60)]
    mozzart = make_mozzart(SYNC_INTERVAL="2").use(dovecot).start().wait_ready()
    sent = dict(zip(dovecot.append_many([mail.raw for mail in mails[:30]]), mails[:30], strict=True))

    mozzart.kill_supervisor()
    sent |= dict(zip(dovecot.append_many([mail.raw for mail in mails[30:]]), mails[30:], strict=True))
    mozzart.start().wait_ready()
    mozzart.wait_stored(60)

    assert mozzart.http("POST", "/api/mailbox/sync/?wait=60").json["status"] == "ok"
    mozzart.check_complete(sent)


def test_a_consumer_that_stands_still_and_dies_hands_its_messages_to_the_next_one(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mozzart = make_mozzart().use(dovecot).start().wait_ready()
    consumer = mozzart.processes()["consumer"]
    consumer.send_signal(signal.SIGSTOP)
    mails = [make_mail(number, files=(3_000,)) for number in range(10)]
    sent = dict(zip(dovecot.append_many([mail.raw for mail in mails]), mails, strict=True))

    wait_until(lambda: [one["in_flight"] for one in mozzart.live()] == [10], "ten messages are in flight", within=20)
    assert mozzart.stored() == 0
    consumer.kill()

    mozzart.wait_stored(10, within=90)
    mozzart.check_complete(sent)


def at_each(role: str, crash: Callable[[str, Point | None], tuple[list[Point], bool]]) -> None:
    """Kill that role at each of its effects, and tell where something was wrong. `crash` gets a name for its files;
    without a point it tells all of them, with one whether it came to that."""
    points: Sequence[Point] = SAMPLE[role]
    if POINTS:
        points, _ = crash("whole", None)
        points = points if POINTS == "all" else points[:: -(-len(points) // int(POINTS))]
    wrong: list[str] = []

    def one(point: Point) -> bool:
        try:
            return crash(str(point), point)[1]
        except (AssertionError, TimeoutError) as error:
            wrong.append(f"{point}: {error}")
            print(f"\n{wrong[-1]}", flush=True)
            return True

    began = time.monotonic()
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        reached = sum(pool.map(one, points))
    print(
        f"\n{role} killed at {reached} of {len(points)} effects, {len(wrong)} wrong, {time.monotonic() - began:.0f} s"
    )
    assert not wrong, "\n".join(wrong)
    assert reached > len(points) // 2, "strace was told of what does not happen"


def mail(number: int, *files: int) -> Mail:
    return make_mail(number, text=800, files=files)


@pytest.mark.invariant("I3", "I4")
@pytest.mark.timeout(3600)
def test_a_consumer_that_dies_at_any_effect_stores_everything_once(dovecot: Dovecot, tmp_path: Path) -> None:
    need_program("strace", "strace")
    people = Mailboxes(dovecot)
    people.create("Work")
    people.deliver(mail(1, 3_000), mail(2), mail(3), mail(4))
    people.deliver(mail(5), mail(6, 800), to="Work")
    published = tmp_path / "published"
    with Installation(published, people) as first:
        first.run("db", "upgrade")
        with first.running("syncer"):
            with first.running("consumer"):
                first.settle()
            people.deliver(*(mail(number, *(3_000, 500)[: number % 3]) for number in range(10, 20)), mail(20, LARGE))
            people.deliver(mail(1, 3_000), mail(21), to="Work")  # bytes that are known, and others
            people.copy(people.uids["INBOX"][:1], "INBOX", "Work")
            people.flag(people.uids["INBOX"][1:3], r"\Seen")
            people.expunge(people.uids["INBOX"][3:4])
            people.leave()
            for kind, count in (("new", 12), ("backfill", 6), ("copy", 2), ("flags", 2), ("expunged", 1)):
                first.wait_published(kind, count)

    def once(name: str, point: Point | None) -> tuple[list[Point], bool]:
        with Installation(tmp_path / name, people, like=published) as here:
            points, died = here.trace("consumer", point, until=here.sight.in_step)
            here.deliver_again()
            with here.running("consumer"):
                here.settle()
                before = here.contents()
                with here.running("syncer"):
                    here.nothing_is_missing()
                here.settle()
            assert here.contents() == before
        shutil.rmtree(tmp_path / name)  # what is wrong stays
        return points, died

    at_each("consumer", once)


@pytest.mark.invariant("I2", "I3", "I4")
@pytest.mark.timeout(3600)
def test_a_syncer_that_dies_at_any_effect_misses_nothing_and_announces_nothing_twice(
    dovecot: Dovecot, tmp_path: Path
) -> None:
    need_program("strace", "strace")

    def once(name: str, point: Point | None) -> tuple[list[Point], bool]:
        people = Mailboxes(dovecot.of(f"user-{name.replace(' ', '-')}"))
        people.create("Work")
        people.deliver(*(mail(number, *(3_000, 500)[: number % 3]) for number in range(6)))
        people.deliver(mail(6), mail(7), to="Work")
        day = a_day(people)
        with Installation(tmp_path / name, people) as here:
            here.run("db", "upgrade")

            def over() -> bool:
                """The next act when the one before is stored."""
                return here.sight.in_step() and next(day, "over") == "over"

            with here.running("consumer"):
                points, died = here.trace("syncer", point, until=over)
                for _ in day:
                    pass
                with here.running("syncer"):
                    here.settle()
                    here.nothing_is_missing()
                    before = here.contents()
                with here.running("syncer"):
                    here.nothing_is_missing()
                    here.settle()
            assert here.contents() == before
        shutil.rmtree(tmp_path / name)  # what is wrong stays
        return points, died

    at_each("syncer", once)


def a_day(people: Mailboxes) -> Iterator[str]:
    """One act after the other."""
    people.deliver(*(mail(number, *(3_000, 500)[: number % 3]) for number in range(10, 16)))
    yield "mail came"
    people.deliver(mail(16, LARGE))
    yield "a mail came that is larger than a message of NATS"
    people.flag(people.uids["INBOX"][:3], r"\Seen")
    people.copy(people.uids["INBOX"][3:5], "INBOX", "Work")
    yield "mail was read and copied"
    people.rename("Work", "Werk")
    people.deliver(mail(17), to="Werk")
    yield "a mailbox was renamed"
    people.create("Archive")
    people.move(people.uids["INBOX"][:2], "INBOX", "Archive")
    yield "mail was filed in a new mailbox"
    people.expunge(people.uids["INBOX"][:2])
    people.delete("Werk")
    yield "mail was expunged, a mailbox deleted"
    people.leave()
