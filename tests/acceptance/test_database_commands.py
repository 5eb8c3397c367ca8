"""`mozzart db`, and `mozzart up` on PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from mailcore.store import migration
from tests.support.dovecot import Dovecot
from tests.support.mail import make_mail
from tests.support.postgres import Postgres
from tests.support.processes import Mozzart
from tests.support.programs import wait_until
from tests.support.stores import query


def test_the_commands_tell_the_revision_and_whether_it_will_do(make_mozzart: Callable[..., Mozzart]) -> None:
    mozzart = make_mozzart()
    newest = migration.newest()

    ran = mozzart.run("db", "check")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == f"none: this version needs {newest}; run `mozzart db upgrade`\n"
    ran = mozzart.run("db", "upgrade")
    assert ran.returncode == 0
    assert "database upgraded" in ran.stderr
    assert mozzart.run("db", "current").stdout == f"{newest}\n"


def test_a_database_that_does_not_answer_is_another_exit_code(make_mozzart: Callable[..., Mozzart]) -> None:
    mozzart = make_mozzart(DATABASE_URL="postgresql+asyncpg://mozzart:Pass-w0rd-x@127.0.0.1:1/mozzart")
    ran = mozzart.run("db", "check")
    assert ran.returncode == 69
    assert len(ran.stderr.splitlines()) == 1
    assert "Pass-w0rd-x" not in ran.stdout + ran.stderr


@pytest.mark.asyncio
async def test_up_with_postgresql_stores_everything_also_over_a_restart_of_the_database(
    dovecot: Dovecot, make_mozzart: Callable[..., Mozzart], postgres: Postgres
) -> None:
    url = postgres.create_database()
    first = [make_mail(number, files=(700,)) for number in range(40)]
    dovecot.append_many([mail.raw for mail in first])
    mozzart = (
        make_mozzart(DATABASE_URL=url, MAIL_MAX_BYTES=str(256 << 20))
        .use(dovecot)
        .start()
        .wait_ready()
        .wait_live("idling")
    )
    assert mozzart.run("sync").returncode == 0

    postgres.stop()
    try:
        late = [make_mail(number, files=(700,)) for number in range(40, 60)]
        dovecot.append_many([mail.raw for mail in late])
        mozzart.wait_log("waiting")
        assert mozzart.http("GET", "/readyz").status == 503
    finally:
        postgres.start()

    def stored() -> bool:
        return mozzart.run("verify", "--wait", "0").returncode == 0

    wait_until(stored, lambda: f"server and database are equal\n{mozzart.log_text()[-4000:]}", within=60)
    rows = await query(url, "SELECT sha256 FROM mailbox_app_mailmessage ORDER BY uid")
    assert [sha256 for (sha256,) in rows] == [mail.sha256 for mail in (*first, *late)]
    parts = await query(url, "SELECT sha256, size FROM mailbox_app_mailattachment ORDER BY message_id, id")
    assert sorted(parts) == sorted((file.sha256, file.size) for mail in (*first, *late) for file in mail.files)
    assert not mozzart.database.exists()
    text = mozzart.http("GET", "/metrics", timeout=10).text
    for pattern in (
        r'mozzart_mailbox_failing\{account="default",mailbox="INBOX",process="syncer",.*\} 0\.0',
        r'mozzart_last_sweep_timestamp_seconds\{account="default",.*\} 1\.\d+e\+09',
        r'mozzart_durable_waiting\{durable="store",process="nats",.*\} 0\.0',
        r'mozzart_stream_max_bytes\{process="nats",.*stream="MAIL"\} 2\.68435456e\+08',
        r'mozzart_free_bytes\{place="media",process="consumer",.*\} \d',
    ):
        assert re.search(pattern, text), pattern
    assert "Traceback" not in mozzart.log_text()
    mozzart.wait_ready()
    mozzart.stop()
