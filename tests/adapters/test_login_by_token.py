"""A login by access token: OAUTHBEARER (RFC 7628), XOAUTH2, and what a server answers."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from mailcore.errors import AuthenticationFailed, CommandFailed, Retry, Scope
from syncer.imap import trace
from syncer.imap.connection import ImapConnection
from syncer.imap.model import Endpoint
from tests.support.dovecot import Dovecot
from tests.support.openid import MakeDovecot, OpenId
from tests.support.scripted_imap import Session

pytestmark = pytest.mark.asyncio
TOKEN = "ya29.a-token-only-for-tests_5f2c~AbCdEf-0123456789"


@dataclass
class Given:
    """Gives these tokens one after the other, the last one for ever; `asked` has what was refused each time."""

    tokens: list[str]
    asked: list[str] = field(default_factory=list)

    async def token(self, refused: str = "") -> str:
        self.asked.append(refused)
        return self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]


def endpoint_of(dovecot: Dovecot, source: Given) -> Endpoint:
    return Endpoint(dovecot.host, dovecot.port, dovecot.user, SecretStr(""), use_ssl=False, tokens=source)


def coded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


@pytest.mark.parametrize("mechanism", ["oauthbearer", "xoauth2"])
async def test_a_real_server_lets_the_owner_of_a_token_in_by_either_mechanism(
    make_oauth_dovecot: MakeDovecot, openid: OpenId, mechanism: str
) -> None:
    dovecot = make_oauth_dovecot(f"auth_mechanisms = plain {mechanism}")
    dovecot.append(b"Subject: here\r\n\r\nhello\r\n")
    connection = await ImapConnection.open(endpoint_of(dovecot, Given([openid.issue("anna")])))
    assert (await connection.select("INBOX")).exists == 1
    await connection.logout()
    with pytest.raises(AuthenticationFailed) as caught:
        await ImapConnection.open(endpoint_of(dovecot, Given(["nobodys-token"])))
    assert (caught.value.code, caught.value.retry) == ("AUTHENTICATIONFAILED", Retry.NEVER)
    assert "status invalid_token" in str(caught.value) or mechanism == "xoauth2"
    with pytest.raises(AuthenticationFailed):
        await ImapConnection.open(replace(endpoint_of(dovecot, Given([openid.issue("anna")])), user="bert"))


async def test_a_token_whose_time_is_over_is_replaced_once_and_one_that_stays_bad_is_no_loop(
    make_oauth_dovecot: MakeDovecot, openid: OpenId
) -> None:
    dovecot = make_oauth_dovecot()
    old = openid.issue("anna")
    openid.expire()
    source = Given([old, openid.issue("anna")])
    connection = await ImapConnection.open(endpoint_of(dovecot, source))
    connection.kill()
    assert source.asked == ["", old]

    source = Given([old, "another bad one".replace(" ", "-")])
    openid.introspected.clear()
    with pytest.raises(AuthenticationFailed):
        await ImapConnection.open(endpoint_of(dovecot, source))
    assert len(openid.introspected) == 2


@pytest.mark.parametrize("initial", [True, False])
@pytest.mark.parametrize(
    ("mechanism", "sent", "dismissal"),
    [
        (
            "OAUTHBEARER",
            "n,a=an=3Dn=2Ca@example.org,\x01host=127.0.0.1\x01port={port}\x01auth=Bearer {token}\x01\x01",
            "AQ==",
        ),
        ("XOAUTH2", "user=an=n,a@example.org\x01auth=Bearer {token}\x01\x01", ""),
    ],
)
async def test_the_bytes_are_those_of_the_specification_and_the_error_is_answered(
    scripted_imap: Any, mechanism: str, sent: str, dismissal: str, initial: bool
) -> None:
    error = {"status": "invalid_token", "scope": "https://mail.example/", "schemes": "Bearer"}
    seen: list[str] = []

    def script(session: Session) -> None:
        session.say(f"* OK [CAPABILITY IMAP4rev1 {'SASL-IR ' if initial else ''}AUTH={mechanism}] hello")
        if initial:
            seen.append(session.expect(f"AUTHENTICATE {mechanism} (.+)")[1])
        else:
            session.expect(f"AUTHENTICATE {mechanism}")
            session.say("+ ")
            seen.append(session.line())
        session.say(f"+ {coded(json.dumps(error))}")
        seen.append(session.line())
        session.say("TAG NO [AUTHENTICATIONFAILED] Invalid credentials")
        session.until_closed()

    server = scripted_imap(script)
    endpoint = server.endpoint(user="an=n,a@example.org", tokens=Given([TOKEN]))
    with pytest.raises(AuthenticationFailed) as caught:
        await ImapConnection.open(endpoint)
    assert base64.b64decode(seen[0]).decode() == sent.format(port=server.port, token=TOKEN)
    assert seen[1] == dismissal
    assert "status invalid_token; it wants the scope https://mail.example/" in str(caught.value)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("end", "words", "retry"),
    [
        ("NO [ALERT] Your account is not enabled for IMAP use", "Allow IMAP in the account's settings", Retry.NEVER),
        ("BAD User is authenticated but not connected.", "The sign-in itself is right", Retry.LATER),
        ("NO AUTHENTICATE failed.", "Check IMAP_USER", Retry.NEVER),
    ],
)
async def test_a_refusal_says_what_a_person_can_do(scripted_imap: Any, end: str, words: str, retry: Retry) -> None:
    logins = []

    def script(session: Session) -> None:
        session.say("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hello")
        logins.append(session.expect("AUTHENTICATE XOAUTH2 .+"))
        session.say(f"TAG {end}")
        session.until_closed()

    with pytest.raises(CommandFailed) as caught:
        await ImapConnection.open(scripted_imap(script).endpoint(tokens=Given(["first", "second"])))
    assert words in str(caught.value)
    assert (caught.value.scope, caught.value.retry) == (Scope.ACCOUNT, retry)
    assert len(logins) == (2 if "failed" in end else 1)


async def test_a_scope_that_is_too_small_has_words_of_its_own(scripted_imap: Any) -> None:
    def script(session: Session) -> None:
        session.say("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=OAUTHBEARER] hello")
        session.expect("AUTHENTICATE OAUTHBEARER .+")
        session.say("+ " + coded('{"status":"insufficient_scope","scope":"mail_w"}'))
        session.line()
        session.say("TAG NO no")
        session.until_closed()

    with pytest.raises(AuthenticationFailed, match="its scope is too small") as caught:
        await ImapConnection.open(scripted_imap(script).endpoint(tokens=Given([TOKEN])))
    assert caught.value.code == "INSUFFICIENTSCOPE"


async def test_a_server_that_takes_no_token_gets_none_and_is_named(scripted_imap: Any) -> None:
    sent = []

    def script(session: Session) -> None:
        session.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello")
        sent.append(session.until_closed())

    server, source = scripted_imap(script), Given([TOKEN, "another"])
    with pytest.raises(AuthenticationFailed, match="takes no access token"):
        await ImapConnection.open(server.endpoint(tokens=source))
    server.close()
    assert sent == [b""]
    assert source.asked == [""]


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
@pytest.mark.parametrize("initial", [True, False])
async def test_the_trace_holds_no_token_in_any_form_even_when_the_server_repeats_it(
    scripted_imap: Any, tmp_path: Path, mechanism: str, initial: bool
) -> None:
    path = tmp_path / "imap.trace"

    def script(session: Session) -> None:
        session.say(f"* OK [CAPABILITY IMAP4rev1 {'SASL-IR ' if initial else ''}AUTH={mechanism}] hello")
        sent = session.expect(f"AUTHENTICATE {mechanism} ?(.*)")[1]
        if not initial:
            session.say("+ ")
            sent = session.line()
        for offset in range(3):
            session.say("+ " + coded("x" * offset + f"no such token: {TOKEN}, sorry"), f"* OK you said {sent}")
            session.line()
        session.say(f"TAG NO {TOKEN} is none")
        session.until_closed()

    trace.begin(path)
    try:
        with pytest.raises(CommandFailed):
            await ImapConnection.open(scripted_imap(script).endpoint(tokens=Given([TOKEN])))
    finally:
        trace.begin(None)
    text = path.read_text()
    assert f"AUTHENTICATE {mechanism} ***" in text
    inside = [coded("x" * offset + TOKEN)[4:-4] for offset in range(3)]
    for form in (TOKEN, TOKEN[5:-5], *(part[k : k + 12] for part in inside for k in range(0, len(part) - 12, 4))):
        assert form not in text
