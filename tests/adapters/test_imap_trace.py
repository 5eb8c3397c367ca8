"""IMAP_TRACE shows what was said, and neither passwords nor mail."""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from pydantic import SecretStr

import syncer.main
from mailcore.errors import AuthenticationFailed, SettingsError
from mailcore.settings import Settings
from syncer.imap import trace
from syncer.imap.connection import Endpoint, ImapConnection
from tests.support.dovecot import Dovecot
from tests.support.scripted_imap import ScriptedImap, Session, message

Serve = Callable[..., ScriptedImap]
SECRET = 'Tr0ub4dor"&3\\'


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "imap.trace"
    trace.begin(path)
    yield path
    trace.begin(None)


def content(file: Path) -> str:
    return file.read_text()


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def said(file: Path) -> list[str]:
    """Without the times."""
    lines = content(file).splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \d+ (C:|S:|--) ", line) for line in lines)
    return [line.partition(" ")[2] for line in lines]


@pytest.mark.asyncio
async def test_a_session_is_traced_both_ways_with_literals_and_bodies_by_size(scripted_imap: Serve, file: Path) -> None:
    def script(session: Session) -> None:
        session.begin()
        session.answer(
            "UID FETCH .*", message(1, "my pin is 4711"), '* 2 FETCH (UID 2 BODY[]<0> "my \\"pin\\" is 4711")'
        )
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    await connection.select("INBOX")
    assert [found.uid async for found in connection.uid_fetch_messages("1:2", limit=99)] == [1, 2]
    connection.kill()
    lines = said(file)
    tag = next(line.split()[2] for line in lines if line.endswith("LOGIN ***"))
    assert f"1 C: {tag} LOGIN ***" in lines
    assert f"1 S: {tag} OK [CAPABILITY IMAP4rev1 IDLE ESEARCH UNSELECT] in" in lines
    assert lines[0].startswith("1 -- connected to 127.0.0.1:")
    assert any(re.fullmatch(r'1 C: \w+ SELECT "INBOX"', line) for line in lines)
    assert any(line.startswith("1 S: * 1 FETCH (UID 1 ") and line.endswith("BODY[]<0> {14})") for line in lines)
    assert '1 S: * 2 FETCH (UID 2 BODY[]<0> "…18 bytes")' in lines
    assert lines[-1] == f"1 -- {connection.endpoint}: the connection was ended by us"
    assert "4711" not in content(file)
    assert mode(file) == 0o600


@pytest.mark.asyncio
@pytest.mark.parametrize("offer", ["SASL-IR AUTH=PLAIN", "AUTH=PLAIN LOGINDISABLED", "LITERAL+", ""])
@pytest.mark.parametrize("password", [SECRET, SECRET + "ä"])
async def test_a_password_is_in_no_line_whatever_way_it_goes_and_whoever_repeats_it(
    scripted_imap: Serve, file: Path, offer: str, password: str
) -> None:
    plain = base64.b64encode(f"\0anna.who\0{password}".encode()).decode()

    def script(session: Session) -> None:
        session.say(f"* OK [CAPABILITY IMAP4rev1 {offer}] hello")
        session.tag = session.line().split()[0]
        if offer.startswith("AUTH"):
            session.say("+ ")
            assert session.line() == plain
        elif not password.isascii() and "AUTH" not in offer:
            if not offer:
                session.say("+ go on")
            session.read(len(password.encode()))
        session.send(f"{session.tag} NO what is {password} or {plain}?\r\n".encode())
        session.until_closed()

    with pytest.raises(AuthenticationFailed):
        await ImapConnection.open(scripted_imap(script).endpoint(user="anna.who", password=SecretStr(password)))
    text = content(file)
    assert "NO what is *** or ***?" in text
    for form in (password, password.encode("unicode_escape").decode(), plain, SECRET, "Tr0ub4dor", "anna.who"):
        assert form not in text.replace("login of 'anna.who' refused", "")
    assert "C: " in text
    assert "*** LOGIN" not in text


@pytest.mark.asyncio
async def test_a_real_servers_session_is_traced_and_each_connection_has_its_number(
    dovecot: Dovecot, file: Path
) -> None:
    endpoint = Endpoint(dovecot.host, dovecot.port, dovecot.user, SecretStr(dovecot.password), use_ssl=False)
    for _ in range(2):
        connection = await ImapConnection.open(endpoint)
        await connection.select("INBOX")
        await connection.idle(refresh=0.1)
        await connection.logout()
    lines = said(file)
    assert {line.split()[0] for line in lines} == {"1", "2"}
    assert sum(line.endswith("C: DONE") for line in lines) == 2
    assert dovecot.password not in content(file)


def wire(path: Path, limit: int = trace.LIMIT) -> trace.Wire:
    return trace.Trace(path, limit).connection(Endpoint("h", 1, "anna", SecretStr("secret")))


@pytest.mark.parametrize(
    ("chunks", "shown"),
    [
        ([b"A1 NOOP\r\n"], ["A1 NOOP"]),
        ([b"A1 SELECT {3}\r\n", b"abc (CONDSTORE)\r\n"], ["A1 SELECT {3}", " (CONDSTORE)"]),
        ([b"A1 SELECT {3}\r\n", b"abc\r\n", b"A2 NOOP\r\n"], ["A1 SELECT {3}", "A2 NOOP"]),
        ([b"A1 SELECT {3+}\r\nabc (X)\r\n"], ["A1 SELECT {3+} (X)"]),
        ([b"A1 X\x1b[31m \xff\r\n"], ["A1 X\\x1b[31m \\xff"]),
    ],
)
def test_what_we_send_is_shown_without_its_literals(tmp_path: Path, chunks: list[bytes], shown: list[str]) -> None:
    line = wire(tmp_path / "t")
    for chunk in chunks:
        line.sent(chunk)
    assert said(tmp_path / "t") == [f"1 C: {text}" for text in shown]


def test_a_long_line_is_cut_and_says_so(tmp_path: Path) -> None:
    wire(tmp_path / "t").received([b"* SEARCH" + b" 1" * 5000])
    (line,) = said(tmp_path / "t")
    assert line.endswith(" 1 …8008 bytes more")


def test_a_trace_that_is_full_says_so_and_ends(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        line = wire(tmp_path / "t", limit=1000)
        for _ in range(100):
            line.sent(b"A1 NOOP\r\n")
    assert (tmp_path / "t").stat().st_size < 1200
    assert said(tmp_path / "t")[-1] == "1 -- the trace ends here: 1000 bytes are the limit of the file"
    assert [entry["event"] for entry in logs] == ["imap-trace-ended"]


def test_a_full_disk_ends_the_trace_and_nothing_else(tmp_path: Path) -> None:
    line = wire(tmp_path / "t")
    full = os.open("/dev/full", os.O_WRONLY)
    assert line._trace._file is not None
    os.dup2(full, line._trace._file)
    os.close(full)
    with structlog.testing.capture_logs() as logs:
        line.sent(b"A1 NOOP\r\n")
        line.sent(b"A2 NOOP\r\n")
    assert [entry["event"] for entry in logs] == ["imap-trace-ended"]


def test_a_file_that_is_there_is_appended_to_and_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("before\n")
    (tmp_path / "t").chmod(0o644)
    wire(tmp_path / "t").sent(b"A1 NOOP\r\n")
    assert content(tmp_path / "t").startswith("before\n")
    assert mode(tmp_path / "t") == 0o600


@pytest.mark.parametrize("name", ["missing/imap.trace", "", "fifo"])
def test_a_file_that_cannot_be_written_is_a_settings_error_at_start(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    settings = Settings(_env_file=None, imap_trace=tmp_path / name, nats_url="nats://127.0.0.1:1")
    with pytest.raises(SettingsError, match="IMAP_TRACE"):
        syncer.main.run(settings)


def test_without_the_setting_nothing_is_kept() -> None:
    assert trace.wire(Endpoint("h", 1, "anna", SecretStr("secret"))) is None
