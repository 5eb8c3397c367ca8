"""Greeting, TLS, login, the end: against a real Dovecot, and scripted where no real server would do it."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import socket
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from mailcore.errors import AuthenticationFailed, CommandFailed, ConnectionLost, ProtocolError, Retry, Scope, TlsFailed
from mailcore.imap.session import State
from syncer.imap.connection import Endpoint, ImapConnection
from tests.support.dovecot import Dovecot
from tests.support.scripted_imap import ScriptedImap, Session

Serve = Callable[..., ScriptedImap]
pytestmark = pytest.mark.asyncio

AWKWARD = 'pa"ss\\word {5} %s *( )'


def endpoint_of(dovecot: Dovecot, **changes: Any) -> Endpoint:
    settings: dict[str, Any] = {
        "host": dovecot.host,
        "port": dovecot.tls_port,
        "user": dovecot.user,
        "password": SecretStr(dovecot.password),
        "ca_file": dovecot.ca_file,
    }
    return Endpoint(**(settings | changes))


@pytest.mark.parametrize("way", ["plain", "tls", "starttls"])
async def test_it_logs_in_and_out(dovecot: Dovecot, way: str) -> None:
    endpoint = endpoint_of(
        dovecot,
        port=dovecot.tls_port if way == "tls" else dovecot.port,
        use_ssl=way == "tls",
        starttls=way == "starttls",
    )
    connection = await ImapConnection.open(endpoint)
    assert connection.state is State.AUTHENTICATED
    assert {"IDLE", "CONDSTORE", "ESEARCH", "IMAP4REV1"} <= connection.capabilities
    assert connection.supports_idle
    await connection.noop()
    await connection.logout()
    assert connection.closed
    with pytest.raises(ConnectionLost):
        await connection.noop()


@pytest.mark.parametrize("way", ["tls", "starttls"])
async def test_a_certificate_of_an_unknown_authority_is_refused(dovecot: Dovecot, way: str) -> None:
    endpoint = endpoint_of(
        dovecot,
        ca_file=None,
        port=dovecot.tls_port if way == "tls" else dovecot.port,
        use_ssl=way == "tls",
        starttls=way == "starttls",
    )
    with pytest.raises(TlsFailed, match="IMAP_CA_FILE") as caught:
        await ImapConnection.open(endpoint)
    assert caught.value.scope is Scope.ACCOUNT


async def test_a_certificate_is_checked_against_the_host_name(dovecot: Dovecot, scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.until_closed()

    server = scripted_imap(script, certificate=(dovecot.ca_file, dovecot.home / "key.pem"), host="127.0.0.2")
    with pytest.raises(TlsFailed, match=r"127\.0\.0\.2"):
        await ImapConnection.open(server.endpoint(ca_file=dovecot.ca_file))


async def test_tls_to_a_port_without_tls_is_said_in_words(dovecot: Dovecot) -> None:
    with pytest.raises(TlsFailed, match="IMAP_USE_SSL"):
        await ImapConnection.open(endpoint_of(dovecot, port=dovecot.port))


async def test_a_ca_file_that_is_none_is_said_in_words(dovecot: Dovecot, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for path in (tmp_path / "missing.pem", tmp_path / "empty.pem"):
        with pytest.raises(TlsFailed, match=path.name):
            await ImapConnection.open(endpoint_of(dovecot, ca_file=path))


async def test_plaintext_put_behind_the_answer_to_starttls_is_refused(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.say("* OK [CAPABILITY IMAP4rev1 STARTTLS] hello")
        session.expect("STARTTLS")
        session.say("TAG OK begin", "* OK [CAPABILITY IMAP4rev1 EVIL] put here by somebody")
        assert b"\x16\x03" not in session.until_closed()  # no TLS record was sent

    with pytest.raises(ProtocolError, match="tampered"):
        await ImapConnection.open(scripted_imap(script).endpoint(starttls=True))


async def test_half_a_line_behind_the_answer_to_starttls_is_refused_too(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.say("* OK [CAPABILITY IMAP4rev1 STARTTLS] hello")
        session.expect("STARTTLS")
        session.send(f"{session.tag} OK begin\r\n* O")
        session.until_closed()

    with pytest.raises(ProtocolError, match="tampered"):
        await ImapConnection.open(scripted_imap(script).endpoint(starttls=True))


@pytest.mark.parametrize("greeting", ["* PREAUTH [CAPABILITY IMAP4rev1] in", "* OK [CAPABILITY IMAP4rev1] hello"])
async def test_without_starttls_no_password_is_sent(scripted_imap: Serve, greeting: str) -> None:
    sent: list[bytes] = []

    def script(session: Session) -> None:
        session.say(greeting)
        if "PREAUTH" not in greeting:
            session.answer("STARTTLS", end="BAD no")
        sent.append(session.until_closed())

    server = scripted_imap(script)
    with pytest.raises(TlsFailed):
        await ImapConnection.open(server.endpoint(starttls=True))
    server.close()
    assert sent == [b""]


@pytest.mark.parametrize("user", ["anna", "an na", 'a"n\\n@x.y', "änna", "NIL", "{3}"])
@pytest.mark.parametrize("password", ["secret", AWKWARD, "pässwört", "a\r\nb LOGOUT", " "])
@pytest.mark.parametrize("offer", ["SASL-IR AUTH=PLAIN", "AUTH=PLAIN LOGINDISABLED", "LITERAL+", "LITERAL-", ""])
async def test_any_user_name_and_password_reaches_the_server_as_it_is(
    scripted_imap: Serve, user: str, password: str, offer: str
) -> None:
    seen: list[str] = []

    def string(session: Session, rest: str) -> tuple[str, str]:
        """The astring at the begin of `rest`, and what follows it on its line."""
        if literal := re.fullmatch(r"\{(\d+)(\+?)\}", rest):
            if not literal[2]:
                session.say("+ go on")
            value = session.read(int(literal[1])).decode()
            return value, session.line()
        found = re.match(r'"((?:[^"\\]|\\.)*)"', rest)
        assert found, rest
        return re.sub(r"\\(.)", r"\1", found[1]), rest[found.end() :]

    def script(session: Session) -> None:
        session.say(f"* OK [CAPABILITY IMAP4rev1 {offer}] hello")
        session.tag, _, command = session.line().partition(" ")
        name, _, rest = command.partition(" ")
        if name == "LOGIN":
            value, rest = string(session, rest)
            seen.append(value)
            value, rest = string(session, rest.removeprefix(" "))
            seen.append(value)
            assert rest == ""
        else:
            mechanism, _, initial = rest.partition(" ")
            assert (name, mechanism) == ("AUTHENTICATE", "PLAIN")
            if not initial:
                session.say("+ ")
                initial = session.line()
            empty, *credentials = base64.b64decode(initial).decode().split("\0")
            assert empty == ""
            seen.extend(credentials)
        session.say("TAG OK [CAPABILITY IMAP4rev1] in")
        session.until_closed()

    server = scripted_imap(script)
    connection = await ImapConnection.open(server.endpoint(user=user, password=SecretStr(password)))
    connection.kill()
    server.close()
    assert seen == [user, password]


async def test_a_nul_in_the_password_is_refused_before_anything_is_sent(scripted_imap: Serve) -> None:
    sent: list[bytes] = []

    def script(session: Session) -> None:
        session.say("* OK [CAPABILITY IMAP4rev1] hello")
        sent.append(session.until_closed())

    server = scripted_imap(script)
    with pytest.raises(AuthenticationFailed, match="NUL"):
        await ImapConnection.open(server.endpoint(password=SecretStr("a\0b")))
    server.close()
    assert sent == [b""]


async def test_a_server_that_wants_tls_first_is_told_in_words(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.say("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED STARTTLS] hello")
        assert session.until_closed() == b""

    with pytest.raises(AuthenticationFailed, match="IMAP_STARTTLS"):
        await ImapConnection.open(scripted_imap(script).endpoint())


async def test_bad_credentials_stop_the_account(dovecot: Dovecot) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        await ImapConnection.open(endpoint_of(dovecot, password=SecretStr("wrong")))
    assert (caught.value.code, caught.value.scope) == ("AUTHENTICATIONFAILED", Scope.ACCOUNT)


async def test_a_throttled_login_is_no_bad_password(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.say("* OK [CAPABILITY IMAP4rev1] hello")
        session.answer("LOGIN .*", end="NO [THROTTLED] try again in 5 minutes")
        session.until_closed()

    with pytest.raises(CommandFailed) as caught:
        await ImapConnection.open(scripted_imap(script).endpoint())
    error = caught.value
    assert not isinstance(error, AuthenticationFailed)
    assert (error.code, error.scope, error.retry, error.retry_after) == ("THROTTLED", Scope.ACCOUNT, Retry.LATER, 300)


async def test_an_error_challenge_is_answered_so_the_server_can_refuse(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello")
        session.expect("AUTHENTICATE PLAIN .+")
        session.say("+ eyJzdGF0dXMiOiI0MDAifQ==")
        assert session.line() == "*"
        session.say("TAG BAD cancelled")
        session.until_closed()

    with pytest.raises(AuthenticationFailed):
        await ImapConnection.open(scripted_imap(script).endpoint())


async def test_capabilities_are_asked_for_where_login_does_not_tell_them(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.say("* OK hello")
        session.answer("CAPABILITY", "* CAPABILITY IMAP4rev1 BEFORE")
        session.answer("LOGIN .*")
        session.answer("CAPABILITY", "* CAPABILITY IMAP4rev1 ID ENABLE CONDSTORE")
        session.answer("ID .*", end="BAD not now")
        session.answer("ENABLE CONDSTORE", "* ENABLED CONDSTORE")
        session.until_closed()

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    assert connection.capabilities == {"IMAP4REV1", "ID", "ENABLE", "CONDSTORE"}
    assert not connection.supports_idle
    connection.kill()


async def test_preauth_needs_no_login(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.say("* PREAUTH [CAPABILITY IMAP4rev1] in")
        assert session.until_closed() == b""

    connection = await ImapConnection.open(scripted_imap(script).endpoint())
    assert connection.state is State.AUTHENTICATED
    connection.kill()


async def test_a_bye_for_a_greeting_is_an_error_at_once_with_its_text(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.say("* BYE [UNAVAILABLE] too many connections, try again in 30 seconds")
        session.until_closed()

    began = time.monotonic()
    with pytest.raises(ConnectionLost, match="too many connections") as caught:
        await ImapConnection.open(scripted_imap(script).endpoint())
    assert time.monotonic() - began < 5
    assert caught.value.retry_after == 30


@pytest.mark.parametrize("greeting", ["220 smtp.example ESMTP\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "\xff\xfe\r\n"])
async def test_gibberish_instead_of_a_greeting_is_a_protocol_error(scripted_imap: Serve, greeting: str) -> None:
    def script(session: Session) -> None:
        session.send(greeting.encode("latin-1"))
        session.until_closed()

    with pytest.raises(ProtocolError, match="is this the right port") as caught:
        await ImapConnection.open(scripted_imap(script).endpoint())
    assert greeting.strip().encode("latin-1").decode("utf-8", "replace") in str(caught.value)


@pytest.mark.parametrize(
    "greeting", [" NO LOGOUT Intrusion prevention active for 192.0.2.7", "* NO go away", "* BAD go away"]
)
async def test_a_greeting_that_refuses_is_told_in_the_servers_words(scripted_imap: Serve, greeting: str) -> None:
    def script(session: Session) -> None:
        session.say(greeting)
        session.until_closed()

    with pytest.raises(ConnectionLost) as caught:
        await ImapConnection.open(scripted_imap(script).endpoint())
    assert greeting.strip("* ").replace(" ", ": ", 1) in str(caught.value)
    assert (caught.value.scope, caught.value.retry) == (Scope.ACCOUNT, Retry.LATER)
    assert (caught.value.retry_after or 0) >= 5


async def test_a_right_password_is_never_blamed_for_exchange_not_being_ready(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.say("* OK [CAPABILITY IMAP4rev1] hello")
        session.answer("LOGIN .*", end="BAD User is authenticated but not connected.")
        session.until_closed()

    with pytest.raises(CommandFailed, match="not connected") as caught:
        await ImapConnection.open(scripted_imap(script).endpoint())
    assert "IMAP_PASSWORD" not in str(caught.value)
    assert (caught.value.scope, caught.value.retry, caught.value.retry_after) == (Scope.ACCOUNT, Retry.LATER, 5)


async def test_a_connection_closed_instead_of_a_greeting_is_lost_at_once(scripted_imap: Serve) -> None:
    with pytest.raises(ConnectionLost, match="greeting awaited"):
        await ImapConnection.open(scripted_imap(lambda session: None).endpoint())


async def test_a_greeting_that_never_comes_ends_by_the_deadline(scripted_imap: Serve) -> None:
    server = scripted_imap(lambda session: session.until_closed() and None)
    with pytest.raises(ConnectionLost, match=r"within 0\.2 s"):
        await ImapConnection.open(server.endpoint(connect_timeout=0.2))


async def test_nobody_listening_and_no_such_host_are_said_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    endpoint = Endpoint(host="127.0.0.1", port=port, user="a", password=SecretStr("b"), use_ssl=False)
    with pytest.raises(ConnectionLost, match="could not connect"):
        await ImapConnection.open(endpoint)
    with pytest.raises(ConnectionLost, match="IMAP_HOST"):
        await ImapConnection.open(replace(endpoint, host="no-such-host.invalid"))


async def test_kill_works_while_the_greeting_is_awaited(scripted_imap: Serve) -> None:
    accepted = threading.Event()

    def script(session: Session) -> None:
        accepted.set()
        session.until_closed()

    connection = ImapConnection(scripted_imap(script).endpoint())
    starting = asyncio.create_task(connection.start())
    await asyncio.to_thread(accepted.wait, 10)
    connection.kill()
    with pytest.raises(ConnectionLost, match="ended by us"):
        await starting
    connection.kill()
    assert connection.closed


async def test_kill_works_before_the_connection_is_made_and_during_the_tls_handshake(scripted_imap: Serve) -> None:
    accepted = threading.Event()

    def script(session: Session) -> None:
        accepted.set()
        session.until_closed()  # never says a word of TLS

    server = scripted_imap(script)
    for wait_for in (None, accepted):
        connection = ImapConnection(server.endpoint(use_ssl=True))
        starting = asyncio.create_task(connection.start())
        await asyncio.sleep(0)
        if wait_for is not None:
            await asyncio.to_thread(wait_for.wait, 10)
        connection.kill()
        with pytest.raises(ConnectionLost, match="ended by us"):
            await starting


async def test_a_cancelled_open_leaves_neither_task_nor_connection(scripted_imap: Serve) -> None:
    accepted, left = threading.Event(), threading.Event()

    def script(session: Session) -> None:
        accepted.set()
        session.until_closed()
        left.set()

    opening = asyncio.create_task(ImapConnection.open(scripted_imap(script).endpoint()))
    await asyncio.to_thread(accepted.wait, 10)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert await asyncio.to_thread(left.wait, 10)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_logout_closes_the_transport_and_never_raises(scripted_imap: Serve) -> None:
    closed = threading.Event()

    def polite(session: Session) -> None:
        session.log_in()
        session.answer("LOGOUT", "* BYE see you")
        session.until_closed()
        closed.set()

    connection = await ImapConnection.open(scripted_imap(polite).endpoint())
    await connection.logout()
    assert connection.state is State.CLOSED
    assert await asyncio.to_thread(closed.wait, 10)

    def rude(session: Session) -> None:
        session.log_in()
        session.expect("LOGOUT")

    connection = await ImapConnection.open(scripted_imap(rude).endpoint())
    await connection.logout()
    await connection.logout()
    assert connection.closed


async def test_secrets_are_in_no_log_no_repr_and_no_traceback(
    scripted_imap: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    secret = 'Tr0ub4dor"&3'
    forms = [secret, secret.replace('"', '\\"'), base64.b64encode(f"\0anna\0{secret}".encode()).decode()]

    def script(session: Session) -> None:
        session.say("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] [ALERT] hello")
        session.expect("AUTHENTICATE PLAIN .*")
        session.say("* OK [ALERT] maintenance tonight", "TAG NO no")
        session.until_closed()

    def script_of_login(session: Session) -> None:
        session.say("* OK [CAPABILITY IMAP4rev1] hello")
        session.answer("LOGIN .*", end="NO no")
        session.until_closed()

    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logs:
        for each in (script, script_of_login):
            endpoint = scripted_imap(each).endpoint(password=SecretStr(secret))
            connection = ImapConnection(endpoint)
            with pytest.raises(AuthenticationFailed) as caught:
                await connection.start()
            frames = traceback.walk_tb(caught.tb.tb_next)  # without this test's own
            stack = traceback.StackSummary.extract(frames, capture_locals=True)
            assert len(stack) > 1
            shown = "".join(stack.format()) + repr((endpoint, connection, caught.value, vars(connection)))
            assert not [form for form in forms if form in shown]
    assert [entry["text"] for entry in logs if entry["event"] == "imap-alert"] == ["maintenance tonight"]
    assert not [form for form in forms if form in caplog.text + repr(logs)]


async def test_an_imap_server_that_is_not_one_cannot_grow_our_memory(scripted_imap: Serve) -> None:
    def script(session: Session) -> None:
        session.say("* OK [CAPABILITY IMAP4rev1] hello")
        session.expect("LOGIN .*")
        session.send(b"* LIST () NIL {99999999999}\r\n")
        session.until_closed()

    with pytest.raises(ProtocolError, match="literal"):
        await ImapConnection.open(scripted_imap(script).endpoint())
