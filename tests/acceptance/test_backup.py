"""A backup made while mail arrives brings everything back, and the sweep adds exactly what came after it."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.dovecot import Dovecot
from tests.support.mail import Mail, make_mail
from tests.support.processes import Mozzart
from tests.support.programs import wait_until


@contextmanager
def arriving(dovecot: Dovecot, sent: dict[int, Mail]) -> Iterator[None]:
    """Mail with attachments arrives for as long as the block lasts, one after the other; by UID in `sent`."""
    stop = threading.Event()

    def deliver() -> None:
        number = len(sent)
        while not stop.wait(0.05):
            mail = make_mail(number, files=(3000, 50))
            sent[dovecot.append(mail.raw)] = mail
            number += 1

    thread = threading.Thread(target=deliver)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def lose_everything(mozzart: Mozzart) -> None:
    shutil.rmtree(mozzart.home / "data")
    shutil.rmtree(mozzart.media)


def published(mozzart: Mozzart) -> int:
    """What the syncer has put into the stream since it was started."""
    text = mozzart.run("tail", "--json", "--since", "all", "--type", "synced", "--count", "1").stdout
    return int(json.loads(text)["data"]["published"])


def test_after_a_backup_while_mail_arrives_and_a_loss_of_all_the_sweep_adds_exactly_what_is_not_in_it(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart]
) -> None:
    mails = [make_mail(number, files=(3000, 50)) for number in range(60)]
    sent = dict(zip(dovecot.append_many([mail.raw for mail in mails]), mails, strict=True))
    mozzart = make_mozzart(SYNC_INTERVAL="3600").use(dovecot).start().wait_ready().wait_live("idling")
    mozzart.wait_stored(60)
    with arriving(dovecot, sent):
        wait_until(lambda: mozzart.stored() > 63, "it is stored as it arrives", within=30)
        ran = mozzart.run("backup", "kept.tar", timeout=100)
        assert (ran.returncode, ran.stderr) == (0, "")
        at_the_end = mozzart.stored()
        wait_until(lambda: mozzart.stored() > at_the_end + 5, "more is stored", within=30)
    dovecot.expunge(7)
    del sent[7]
    mozzart.stop()
    lose_everything(mozzart)

    ran = mozzart.run("restore", "kept.tar")
    assert (ran.returncode, ran.stderr) == (0, "")
    query = "SELECT id, uid, stored_at FROM mailbox_app_mailmessage ORDER BY uid"
    kept = [tuple(row) for row in mozzart.rows(query)]
    uids = {uid for _, uid, _ in kept}
    assert 63 < len(kept) <= at_the_end
    named = {row["file"] for row in mozzart.rows("SELECT file FROM mailbox_app_mailattachment")}
    assert len(named) == 2 * len(kept)
    assert named == mozzart.files()

    mozzart.start().wait_ready()
    mozzart.wait_stored(len(sent))
    wait_until(lambda: mozzart.stored() == len(sent), "what was expunged is marked")
    assert published(mozzart) == len(sent.keys() - uids), "exactly what is not in the backup"
    assert mozzart.run("verify").returncode == 0
    gone = mozzart.rows("SELECT uid FROM mailbox_app_mailmessage WHERE expunged_at IS NOT NULL")
    assert [row["uid"] for row in gone] == [7]
    assert [tuple(row) for row in mozzart.rows(query)][: len(kept)] == kept, "rows of the backup stay as they were"
    shown = {row["uid"]: row["sha256"] for row in mozzart.rows("SELECT uid, sha256 FROM mailbox_app_mailmessage")}
    assert {uid: shown[uid] for uid in sent} == {uid: mail.sha256 for uid, mail in sent.items()}
    mozzart.stop()
