"""The private servers do what the other tests take for granted."""

from __future__ import annotations

import asyncio
import imaplib
import ssl
import time

import asyncpg
import pytest
import trio

from tests.support.dovecot import Dovecot

RAW = b"From: a@example.com\r\nSubject: hi\r\n\r\nbody with a lone \n and a lone \r in it\r\n"


def test_dovecot_keeps_the_bytes_that_were_appended(dovecot: Dovecot) -> None:
    uid = dovecot.append(RAW, flags=r"\Seen")

    assert dovecot.uids() == [uid]
    assert dovecot.fetch(uid).replace(b"\r\n", b"\n") == RAW.replace(b"\r\n", b"\n")


def test_dovecot_expunges_and_changes_uidvalidity_and_keeps_its_mail_over_a_restart(dovecot: Dovecot) -> None:
    first, second = dovecot.append_many([RAW, RAW])
    dovecot.expunge(first)
    before = dovecot.uidvalidity()

    after = dovecot.change_uidvalidity()
    dovecot.restart()

    assert dovecot.uidvalidity() == after != before
    assert len(dovecot.uids()) == 1
    assert second


def test_dovecot_takes_mailbox_names_that_are_not_ascii(dovecot: Dovecot) -> None:
    dovecot.create('Büro & "Co"/日本')

    assert dovecot.append(RAW, 'Büro & "Co"/日本') == 1


def test_dovecot_speaks_tls_with_a_certificate_that_can_be_verified(dovecot: Dovecot) -> None:
    context = ssl.create_default_context(cafile=str(dovecot.ca_file))
    with imaplib.IMAP4_SSL("127.0.0.1", dovecot.tls_port, ssl_context=context, timeout=10) as connection:
        assert connection.login(dovecot.user, dovecot.password)[0] == "OK"


def test_dovecot_pushes_new_mail_within_a_second(dovecot: Dovecot) -> None:
    with dovecot.connect("INBOX") as idler:
        for _ in range(2):
            idler.send(b"x IDLE\r\n")
            assert idler.readline().startswith(b"+")
            started = time.monotonic()
            dovecot.append(RAW)
            assert b"EXISTS" in idler.readline()
            assert time.monotonic() - started < 2
            idler.send(b"DONE\r\n")
            while not idler.readline().startswith(b"x "):
                pass


@pytest.mark.asyncio
async def test_postgres_gives_each_test_an_empty_database(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    try:
        count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        assert await connection.fetchval(count) == 0
    finally:
        await connection.close()


@pytest.mark.asyncio
async def test_an_asyncio_test_runs_on_a_plain_asyncio_loop() -> None:
    assert type(asyncio.get_running_loop()).__module__ == "asyncio.unix_events"
    process = await asyncio.create_subprocess_exec("true")
    assert await process.wait() == 0


@pytest.mark.trio
async def test_a_trio_test_runs_on_trio() -> None:
    assert trio.current_time() > 0
