"""An account is tried step by step; what fails says so in its own words, and nothing tells what else runs there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from mailcore.events.control import Trial
from syncer.imap.connection import Endpoint
from syncer.imap.trial import trial
from tests.support.dovecot import Dovecot
from tests.support.programs import free_port
from tests.support.scripted_imap import ScriptedImap, Session

STEPS = ("name", "address", "tcp", "tls", "greeting", "login", "mailboxes", "idle", "capabilities")


def tried(endpoint: Endpoint, *mailboxes: str) -> Trial:
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(trial("a", endpoint, mailboxes or ("INBOX",)))


def of(dovecot: Dovecot, **changes: Any) -> Endpoint:
    values: dict[str, Any] = {
        "host": "localhost",
        "port": dovecot.tls_port,
        "user": "trial",
        "password": SecretStr(dovecot.password),
        "ca_file": dovecot.ca_file,
    }
    return Endpoint(**(values | changes))


def failed(found: Trial) -> tuple[str, str]:
    """The step that failed, which is the last one, and its words."""
    assert not found.ok
    assert [step.status for step in found.steps[:-1]].count("failed") == 0
    return found.steps[-1].name, found.steps[-1].words


def test_every_step_has_its_time_and_words(dovecot: Dovecot) -> None:
    found = tried(of(dovecot))
    assert found.ok
    assert tuple(step.name for step in found.steps) == STEPS
    words = {step.name: step.words for step in found.steps}
    assert words["tls"].startswith("TLSv1.")
    assert words["login"] == "logged in as trial"
    assert "INBOX has 0 messages" in words["mailboxes"]
    assert words["idle"] == "the server pushes"
    assert "CONDSTORE" in words["capabilities"]
    assert sum(step.ms for step in found.steps) > 40, "to idle takes its time"


@pytest.mark.parametrize(
    ("changes", "step", "words"),
    [
        ({"host": "nowhere.invalid"}, "name", "the host name was not found"),
        ({"hosts": ("*",)}, "address", "no address that accounts may be connected to"),
        ({"port": free_port()}, "tcp", "Connection refused"),
        ({"ca_file": None}, "tls", "certificate is not trusted"),
        ({"password": SecretStr("hidden-wrong")}, "login", "login of 'trial' refused"),
    ],
)
def test_what_fails_is_named_by_its_step_and_in_words(
    dovecot: Dovecot, changes: dict[str, Any], step: str, words: str
) -> None:
    found = tried(of(dovecot, **changes))
    assert failed(found)[0] == step
    assert words in failed(found)[1]
    assert "hidden" not in found.model_dump_json()


def test_a_mailbox_that_is_not_there_is_told_with_those_that_are(dovecot: Dovecot) -> None:
    step, words = failed(tried(of(dovecot), "INBOX", "Nowhere"))
    assert step == "mailboxes"
    assert "no mailbox 'Nowhere'" in words
    assert "INBOX" in words


def test_what_is_no_imap_server_is_not_quoted_to_who_should_not_know(
    scripted_imap: Callable[..., ScriptedImap],
) -> None:
    def ssh(session: Session) -> None:
        session.send("SSH-2.0-OpenSSH_9.9p1 Debian-3\r\n")

    server = scripted_imap(ssh)
    operator = failed(tried(server.endpoint()))
    stranger = failed(tried(server.endpoint(hosts=("127.0.0.1",), source="database")))
    assert operator[0] == stranger[0] == "greeting"
    assert "OpenSSH" in operator[1]
    assert "did not begin with an IMAP greeting; is this the right port?" in stranger[1]


def test_the_address_that_is_dialled_counts_and_not_the_name(dovecot: Dovecot) -> None:
    assert failed(tried(of(dovecot, hosts=("*.example", "10.*"))))[0] == "address"
    assert tried(of(dovecot, hosts=("127.*", "::1"))).ok
    assert tried(replace(of(dovecot), hosts=("localhost",))).ok
