"""Crash at every step, resume, run again: the end is the same as without a crash."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.support.dovecot import Dovecot, append
from tests.support.mail import Mail, make_mail
from tests.support.processes import ROLES, Mozzart
from tests.support.programs import wait_until

KILLS = int(os.environ.get("CRASH_KILLS", "50"))
MESSAGES = int(os.environ.get("CRASH_MESSAGES", "1000"))


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
