"""Crash at any moment and at each effect, resume, run again: the end is the same as without a crash.

`make crash` tries every effect of syncer and consumer (CRASH_POINTS=all); otherwise a few of them.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.dovecot import Dovecot, append
from tests.support.effects import Point
from tests.support.installation import Installation
from tests.support.mail import Mail, make_mail
from tests.support.processes import ROLES, Mozzart
from tests.support.programs import need_program, wait_until

KILLS = int(os.environ.get("CRASH_KILLS", "50"))
MESSAGES = int(os.environ.get("CRASH_MESSAGES", "1000"))
POINTS = os.environ.get("CRASH_POINTS", "6")
SIDE_BY_SIDE = 4


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


def chosen(points: Sequence[Point]) -> list[Point]:
    """All, or so many, evenly."""
    return list(points if POINTS == "all" else points[:: max(1, len(points) // int(POINTS))])


def at_each(points: Sequence[Point], crash: Callable[[Point], bool]) -> None:
    """Tells where something was wrong; `crash` says whether it came to that point at all."""
    wrong: list[str] = []

    def one(point: Point) -> bool:
        try:
            return crash(point)
        except (AssertionError, TimeoutError) as error:
            wrong.append(f"{point}: {error}")
            return True

    began = time.monotonic()
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        reached = sum(pool.map(one, points))
    print(f"\n{reached} of {len(points)} points, {len(wrong)} wrong, {time.monotonic() - began:.0f} s")
    assert not wrong, "\n".join(wrong)
    assert reached >= len(points) // 2, "strace was told of what does not happen"


@pytest.mark.invariant("I3", "I4")
@pytest.mark.timeout(3600)
def test_a_consumer_that_dies_at_any_effect_stores_everything_once(dovecot: Dovecot, tmp_path: Path) -> None:
    need_program("strace", "strace")
    mails = [make_mail(number, text=800, files=(3_000, 500) if number % 3 == 0 else ()) for number in range(12)]
    mails.append(mails[0])  # known bytes
    sent = dict(zip(dovecot.append_many([mail.raw for mail in mails]), mails, strict=True))
    published = tmp_path / "published"
    with Installation(published, dovecot) as first:
        first.run("db", "upgrade")
        with first.running("syncer"):
            first.wait_published(len(mails))

    def once(name: str, point: Point | None) -> tuple[list[Point], bool]:
        with Installation(tmp_path / name, dovecot, like=published) as here:
            points, died = here.trace("consumer", point, until=lambda: here.mozzart.stored() == len(mails))
            here.deliver_again()
            with here.running("consumer"):
                here.settle(sent)
                before = here.contents()
                with here.running("syncer"):
                    here.nothing_is_missing()
            assert here.contents() == before
            return points, died

    points, _ = once("whole", None)
    at_each(chosen(points), lambda point: once(str(point), point)[1])


@pytest.mark.invariant("I2", "I3", "I4")
@pytest.mark.timeout(3600)
def test_a_syncer_that_dies_at_any_effect_misses_nothing_and_announces_nothing_twice(
    dovecot: Dovecot, tmp_path: Path
) -> None:
    need_program("strace", "strace")
    mails = [make_mail(number, text=800, files=(3_000,) if number % 3 == 0 else ()) for number in range(12)]

    def once(name: str, point: Point | None) -> tuple[list[Point], bool]:
        server = dovecot.of(f"user-{name.replace(' ', '-')}")
        sent = dict(zip(server.append_many([mail.raw for mail in mails[:8]]), mails, strict=False))
        with Installation(tmp_path / name, server) as here:
            here.run("db", "upgrade")

            def until() -> bool:
                if here.mozzart.stored() == 8 and len(sent) == 8:
                    sent.update(zip(server.append_many([mail.raw for mail in mails[8:]]), mails[8:], strict=True))
                return here.mozzart.stored() == len(mails)

            with here.running("consumer"):
                points, died = here.trace("syncer", point, until=until)
                if len(sent) == 8:
                    sent.update(zip(server.append_many([mail.raw for mail in mails[8:]]), mails[8:], strict=True))
                gone = min(sent)
                server.expunge(gone)
                del sent[gone]
                with here.running("syncer"):
                    here.settle(sent)
                    here.nothing_is_missing()
                    before = here.contents()
                    here.nothing_is_missing()
            assert here.contents() == before
            assert here.announced_twice() == []
            return points, died

    points, _ = once("whole", None)
    at_each(chosen(points), lambda point: once(str(point), point)[1])
