"""A disk of NATS that was full: the embedded server is mended by itself, of another one everybody tells."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.support.disks import Disk
from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.nats import NatsServer
from tests.support.processes import Mozzart
from tests.support.programs import need_program, wait_until

NO_SPACE = "no space left on device"


@pytest.fixture
def dovecot() -> Iterator[Dovecot]:
    need_program("dovecot", "dovecot-imapd")
    with closing(Dovecot()) as server:
        yield server.start()


def test_a_disk_of_64_mb_suffices_and_what_came_while_it_was_full_is_stored_by_itself(
    make_disk: Callable[[int], Disk], make_mozzart: Callable[..., Mozzart], dovecot: Dovecot
) -> None:
    disk = make_disk(64 << 20)
    mozzart = make_mozzart(SYNC_INTERVAL="10", DATA_DIR=str(disk.path)).use(dovecot)
    (mozzart.home / "data").mkdir()  # of the database, which has room all the time
    mails = {uid: make_mail(uid) for uid in range(1, 6)}
    dovecot.append(mails[1].raw)
    mozzart.start().wait_ready().wait_live("idling").wait_stored(1)

    disk.fill()
    for uid in (2, 3):
        dovecot.append(mails[uid].raw)
    mozzart.wait_log("is started again once there is room")
    assert mozzart.run("verify", "--wait", "1").returncode != 0
    disk.free()
    for uid in (4, 5):
        dovecot.append(mails[uid].raw)

    mozzart.wait_stored(5, within=60)
    mozzart.check_complete(mails)
    assert mozzart.log_text().count("started again: its store stays in error") == 1


def test_of_a_nats_of_ones_own_everybody_says_that_it_stores_nothing_until_it_is_started_again(
    make_disk: Callable[[int], Disk], make_mozzart: Callable[..., Mozzart], dovecot: Dovecot
) -> None:
    disk = make_disk(64 << 20)
    server = NatsServer(home=disk.path, max_file_store="56M")
    try:
        server.start()
        mozzart = make_mozzart(NATS_URL=server.url).use(dovecot)
        mozzart.start().wait_ready().wait_live("idling")
        disk.fill()
        mail = make_mail(1)
        dovecot.append(mail.raw)
        mozzart.wait_log("it stores nothing in MAIL", within=60)
        disk.free()

        wait_until(lambda: mozzart.http("GET", "/readyz").status == 503, "/readyz tells", within=60, every=0.5)
        assert mozzart.http("GET", "/readyz").json["checks"]["syncer"] == "failed"
        for command in ("status", "doctor"):
            said = mozzart.run(command)
            assert said.returncode != 0, said.stdout
            assert re.search(r"it stores nothing in MAIL\b.* since a write failed", " ".join(said.stdout.split()))
        assert NO_SPACE in json.loads(mozzart.run("status", "--json").stdout)["faults"]["syncer"]
        samples = re.findall(r"^mozzart_stream_in_error{(.*)} 1", mozzart.http("GET", "/metrics").text, re.MULTILINE)
        assert any('stream="MAIL"' in one for one in samples), samples

        server.restart()
        mozzart.wait_stored(1, within=60)
        mozzart.check_complete({1: mail})
        wait_until(lambda: mozzart.http("GET", "/readyz").status == 200, "all is well", within=60, every=0.5)
        assert "mozzart_stream_in_error{" not in mozzart.http("GET", "/metrics").text
        assert mozzart.run("status").returncode == 0
        mozzart.stop(within=20)
    finally:
        server.close()
